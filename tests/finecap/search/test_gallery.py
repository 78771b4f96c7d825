"""The gallery's captions: all of them, and only what changed is captioned again."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finecap.config import CaptionsConfig
from finecap.data.records import Record
from finecap.log import silent
from finecap.models.captions import Beams
from finecap.search import gallery
from finecap.search.gallery import CAPTION_VECTORS, CAPTIONS, VECTORS, caption_gallery, read_gallery

RECORDS = [
    Record("1.png", "train", ("a",)),
    Record("2.png", "val", ("b",)),
    Record("3.png", "test", ("c",)),
    Record("4.png", "test", ("d",)),
]
MD5S = {r.image: f"md5 of {r.image}" for r in RECORDS}


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of images as the model sees them; it says their name and points along one axis."""
    seen: list[str] = []

    def caption_images(
        paths: list[Path], max_tokens: int, batch_size: int, how: Beams
    ) -> list[str]:
        assert (max_tokens, batch_size) == (28, 2)
        seen.extend(path.name for path in paths)
        return [f"picture {path.stem}" + " by beams" * (how.beams > 1) for path in paths]

    def encode_images(paths: list[Path], batch_size: int) -> torch.Tensor:
        return torch.eye(batch_size + 3)[[int(path.stem) for path in paths]]

    def encode_texts(captions: list[str]) -> torch.Tensor:
        return torch.eye(9)[[int(caption.split()[1]) + 4 for caption in captions]]

    encoder = SimpleNamespace(encode_images=encode_images, encode_texts=encode_texts)
    model = SimpleNamespace(caption_images=caption_images, encoder=encoder)
    monkeypatch.setattr(gallery, "load_pair", lambda _: model)
    return seen


def run(
    destination: Path,
    version: str = "v1",
    previous: Path | None = None,
    how: Beams | None = None,
    **md5s: str,
):
    destination.mkdir()
    return caption_gallery(
        Path("pair"),
        Path("data"),
        RECORDS,
        {**MD5S, **md5s},
        CaptionsConfig(batch_size=2, threads=1, **asdict(how or Beams())),
        destination,
        silent,
        model_version=version,
        previous=previous,
    )


def test_every_gallery_image_has_its_caption_and_both_vectors(tmp_path: Path, captioned: list[str]):  # noqa: ARG001
    assert run(tmp_path / "a") == {"images": 3, "captioned": 3, "kept": 0}
    found = read_gallery(tmp_path / "a")
    assert list(found.table["caption"]) == ["picture 2", "picture 3", "picture 4"]
    assert np.argmax(found.vectors, axis=1).tolist() == [2, 3, 4]
    assert np.argmax(found.caption_vectors, axis=1).tolist() == [6, 7, 8]


def test_unchanged_images_are_not_captioned_again(tmp_path: Path, captioned: list[str]):
    run(tmp_path / "a")
    captioned.clear()
    counts = run(tmp_path / "b", previous=tmp_path / "a")
    assert counts == {"images": 3, "captioned": 0, "kept": 3}
    assert captioned == []
    a, b = read_gallery(tmp_path / "a"), read_gallery(tmp_path / "b")
    assert np.array_equal(b.vectors, a.vectors)
    assert np.array_equal(b.caption_vectors, a.caption_vectors)


def test_changed_image_alone_is_captioned_again(tmp_path: Path, captioned: list[str]):
    run(tmp_path / "a")
    captioned.clear()
    run(tmp_path / "b", previous=tmp_path / "a", **{"3.png": "other bytes"})
    assert captioned == ["3.png"]


def test_another_model_captions_everything_again(tmp_path: Path, captioned: list[str]):  # noqa: ARG001
    run(tmp_path / "a")
    assert run(tmp_path / "b", version="v2", previous=tmp_path / "a")["captioned"] == 3


@pytest.mark.parametrize("how", [Beams(3), Beams(length_penalty=1.0), Beams(no_repeat_ngram=3)])
@pytest.mark.usefixtures("captioned")
def test_another_decoding_captions_everything_again(tmp_path: Path, how: Beams):
    run(tmp_path / "a")
    assert run(tmp_path / "b", previous=tmp_path / "a", how=how)["captioned"] == 3
    assert run(tmp_path / "c", previous=tmp_path / "b", how=how)["captioned"] == 0
    said = read_gallery(tmp_path / "c").table["caption"]
    assert said.str.endswith(" by beams").all() == (how.beams > 1)


@pytest.mark.usefixtures("captioned")
def test_a_table_that_does_not_say_how_it_was_decoded_is_captioned_again(tmp_path: Path):
    run(tmp_path / "a")
    table = read_gallery(tmp_path / "a").table.drop(columns="decoding")
    table.to_parquet(tmp_path / "a" / CAPTIONS)
    assert run(tmp_path / "b", previous=tmp_path / "a")["captioned"] == 3


@pytest.mark.usefixtures("captioned")
def test_a_result_without_vectors_of_captions_is_captioned_again(tmp_path: Path):
    run(tmp_path / "a")
    (tmp_path / "a" / CAPTION_VECTORS).unlink()
    assert run(tmp_path / "b", previous=tmp_path / "a")["captioned"] == 3


def test_empty_gallery_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="gallery would be empty"):
        caption_gallery(
            Path(), Path(), RECORDS[:1], MD5S, CaptionsConfig(), tmp_path, silent, model_version="v"
        )


@pytest.mark.parametrize(
    ("file", "counts"), [(VECTORS, "1 vectors of images and 3"), (CAPTION_VECTORS, "images and 1")]
)
@pytest.mark.usefixtures("captioned")
def test_captions_and_vectors_that_do_not_match_are_refused(tmp_path: Path, file: str, counts: str):
    run(tmp_path / "a")
    np.save(tmp_path / "a" / file, np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(ValueError, match=f"3 captions but .*{counts}"):
        read_gallery(tmp_path / "a")
