"""Two images with captions and references, a small encoder, and one with features spelt out."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from finecap.config import ClipConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models.clip import ClipEncoder
from finecap.rewards import Images, RewardBatch

REFERENCES = (("a red boat", "a boat"), ("a cat", "a black cat at night"))
CAPTIONS = (("a red boat", "a cat", "a cat"), ("a cat", "a cat at night", "boat"))


@pytest.fixture
def encoder() -> ClipEncoder:
    """An untrained encoder with a grammar head, D = 16."""
    torch.manual_seed(0)
    words = WordTokenizer.build([c for refs in REFERENCES for c in refs] + ["a photo depicts"], 1)
    config = ClipConfig(image_size=32, image_width=8, embed_dim=16, text_width=16, text_heads=2)
    encoder = ClipEncoder(config, words)
    encoder.add_head(8, "joint")
    return encoder.eval()


@pytest.fixture
def spelt(
    encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, Sequence[float]]], ClipEncoder]:
    """An encoder that gives each text the vector it is said to have."""

    def build(vectors: Mapping[str, Sequence[float]]) -> ClipEncoder:
        def encode_texts(texts: Sequence[str]) -> Tensor:
            return torch.tensor([vectors[text] for text in texts], dtype=torch.float32)

        monkeypatch.setattr(encoder, "encode_texts", encode_texts)
        return encoder

    return build


@pytest.fixture
def batch() -> RewardBatch:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    return RewardBatch(CAPTIONS, vectors, REFERENCES)


@pytest.fixture
def train() -> Images:
    return Images(np.arange(2), REFERENCES)


@pytest.fixture
def saying() -> Callable[..., RewardBatch]:
    """One image with these captions, of which a term reads nothing else."""
    return lambda *captions: RewardBatch([list(captions)], torch.ones(1, 16) / 4, [["a cat"]])
