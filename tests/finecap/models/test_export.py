"""The exported pair: it captions raw images as the captioner does cached features."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from finecap.models.captioner import load_captioner
from finecap.models.captions import Beams, Draws, greedy_captions
from finecap.models.export import CaptioningModel, export_pair, load_pair
from finecap.models.features import open_features
from finecap.models.folder import ModelFolderError
from finecap.models.transformer import TransformerCaptioner, TransformerShape


@pytest.fixture(scope="module")
def captioner(tiny: SimpleNamespace) -> Path:
    """Random weights that say something else about every image, unlike seconds of training."""
    torch.manual_seed(0)
    channels = open_features(tiny.features).grid.shape[-1]
    shape = TransformerShape(channels, 32, 2, 1, 1, 0.0, 32)
    model = TransformerCaptioner(shape, load_captioner(tiny.mle).tokenizer)
    with torch.no_grad():
        model.memory_norm.weight.mul_(30)
    folder = tiny.new()
    model.save(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tiny: SimpleNamespace, captioner: Path) -> Path:
    folder = tiny.new()
    export_pair(captioner, tiny.encoder, folder)
    return folder


@pytest.fixture
def pair(exported: Path) -> CaptioningModel:
    return load_pair(exported)


def test_captions_of_raw_images_equal_captions_of_cached_features(
    tiny: SimpleNamespace, captioner: Path, pair: CaptioningModel
) -> None:
    images = [r.image for r in tiny.records if r.split == "val"]
    cached = greedy_captions(load_captioner(captioner), open_features(tiny.features), images, 12)
    assert pair.caption_images([tiny.folder / image for image in images], 12) == cached
    assert len(set(cached)) > 4


def test_a_path_bytes_an_array_and_an_image_get_one_caption(
    tiny: SimpleNamespace, pair: CaptioningModel
) -> None:
    path = tiny.folder / tiny.records[0].image
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    captions = pair.caption_images([path, path.read_bytes(), np.asarray(image), image], 12)
    assert len(set(captions)) == 1


def test_batches_change_nothing(tiny: SimpleNamespace, pair: CaptioningModel) -> None:
    paths = [tiny.folder / r.image for r in tiny.records[:7]]
    assert pair.caption_images(paths, 12, batch_size=3) == pair.caption_images(paths, 12)


def test_no_images_no_captions(pair: CaptioningModel) -> None:
    assert pair.caption_images([]) == []
    assert pair.draw_captions([], Draws(3)) == []


def test_captions_may_be_as_long_as_the_captioner_can_say(
    tiny: SimpleNamespace, pair: CaptioningModel
) -> None:
    pair.captioner.max_tokens = 3
    captions = pair.caption_images([tiny.folder / r.image for r in tiny.records[:9]])
    assert max(len(said.split()) for said in captions) == 3


def test_images_are_captioned_as_asked(tiny: SimpleNamespace, pair: CaptioningModel) -> None:
    paths = [tiny.folder / r.image for r in tiny.records[:7]]
    searched = pair.caption_images(paths, 12, batch_size=3, how=Beams(4, length_penalty=1.0))
    assert len(searched) == 7
    assert searched != pair.caption_images(paths, 12)
    drawn = pair.draw_captions(paths, Draws(4, top_p=1.0), 12, batch_size=3)
    assert [len(set(said)) for said in drawn] == [len(said) for said in drawn]
    assert drawn == pair.draw_captions(paths, Draws(4, top_p=1.0), 12)


def test_an_export_needs_no_other_file(tiny: SimpleNamespace, exported: Path) -> None:
    moved = tiny.new() / "moved"
    exported.rename(moved)
    path = tiny.folder / tiny.records[0].image
    assert load_pair(moved).caption_images([path], 4)
    moved.rename(exported)


def test_training_checkpoints_stay_out(tiny: SimpleNamespace, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "checkpoint.pt").write_text("half way")
    export_pair(source, tiny.encoder, tmp_path / "pair")
    assert [p.name for p in (tmp_path / "pair" / "captioner").iterdir()] == ["config.json"]


def test_a_pair_without_its_encoder_is_refused_by_name(
    captioner: Path, tiny: SimpleNamespace, tmp_path: Path
) -> None:
    export_pair(captioner, tiny.encoder, tmp_path)
    (tmp_path / "encoder" / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"encoder/model\.safetensors does not exist"):
        load_pair(tmp_path)
