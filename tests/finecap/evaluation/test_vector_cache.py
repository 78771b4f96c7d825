"""Vectors are encoded once per key, or every time where nothing is kept."""

from pathlib import Path

import torch

from finecap.evaluation.vector_cache import VectorCache


class Encoder:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> torch.Tensor:
        self.calls += 1
        return torch.arange(6.0).reshape(2, 3)


def test_kept_vectors_are_those_encoded_and_encoded_once(tmp_path: Path):
    encode, cache = Encoder(), VectorCache(tmp_path / "new")
    first, again = cache.vectors("key", encode), cache.vectors("key", encode)
    assert torch.equal(first, again)
    assert first.dtype == torch.float32
    assert encode.calls == 1
    cache.vectors("other", encode)
    assert encode.calls == 2
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["key.npy", "other.npy"]


def test_without_a_folder_nothing_is_kept():
    encode = Encoder()
    for _ in range(2):
        VectorCache(None).vectors("key", encode)
    assert encode.calls == 2
