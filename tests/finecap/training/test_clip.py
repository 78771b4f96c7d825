"""Contrastive training: determinism, what it reads and refuses, and the locked image tower."""

import dataclasses
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from safetensors.torch import load_file, save_file

from finecap.config import ClipConfig
from finecap.data.records import Record
from finecap.data.tokenizer import BOS, EOS, PAD, UNK
from finecap.log import silent
from finecap.models import towers
from finecap.models.clip import load_encoder
from finecap.models.folder import ModelFolderError
from finecap.models.pretrained import load_pretrained
from finecap.training.clip import drop_words, matching_loss, texts_of, train_clip

WITHOUT_ALT_TEXT = Record("images/1.png", "train", ("a boat", "the sea"))
LOCKED = {"image_tower": "timm", "timm_model": "mobilenetv2_050", "image_trainable": False}


def train(tiny: SimpleNamespace, destination: Path, **changes: object) -> dict[str, float]:
    config = ClipConfig.model_validate({**tiny.clip_config.model_dump(), **changes})
    return train_clip(tiny.folder, tiny.records, config, destination, silent)


def test_same_seed_same_weights(tiny: SimpleNamespace, weights_of: Callable[[Path], bytes]) -> None:
    first, again, other = tiny.new(), tiny.new(), tiny.new()
    for folder, seed in ((first, 4), (again, 4), (other, 5)):
        train(tiny, folder, seed=seed)
    assert weights_of(first) == weights_of(again) != weights_of(other)


def test_images_streamed_from_shards_train_the_same_weights(
    tiny: SimpleNamespace, weights_of: Callable[[Path], bytes], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    with tarfile.open(tmp_path / "images" / "0.tar", "w") as tar:
        for record in tiny.records:
            tar.add(tiny.folder / record.image, arcname=record.image.removeprefix("images/"))
    moved = [
        dataclasses.replace(r, image=r.image.replace("images/", "images/0.tar/"))
        for r in tiny.records
    ]
    streamed, plain = tiny.new(), tiny.new()
    config = tiny.clip_config.model_copy(update={"pixels": "stream"})
    train_clip(tmp_path, moved, config, streamed, silent)
    train(tiny, plain)
    assert weights_of(streamed) == weights_of(plain)
    assert not list(streamed.glob("pixels*"))


def test_training_brings_matching_pairs_together(tiny: SimpleNamespace) -> None:
    assert tiny.clip_metrics["contrastive"] < math.log(16) - 0.5


def test_only_the_model_is_left_behind(tiny: SimpleNamespace) -> None:
    names = {path.name for path in tiny.encoder.iterdir()}
    assert names == {"config.json", "model.safetensors", "vocabulary.json"}


def test_images_of_other_parts_are_not_opened(tiny: SimpleNamespace, tmp_path: Path) -> None:
    absent = Record("images/absent.png", "train", ("a",), part="judge", alt_text="a")
    config = tiny.clip_config
    train_clip(tiny.folder, [absent, *tiny.records], config, tmp_path, silent)
    assert load_encoder(tmp_path).config.part == "clip"


def test_without_word_loss_contrast_is_all_there_is(tiny: SimpleNamespace, tmp_path: Path) -> None:
    assert "contrastive" not in train(tiny, tmp_path, epochs=1, word_loss_weight=0.0)


def test_a_part_without_images_is_refused_by_name(tiny: SimpleNamespace, tmp_path: Path) -> None:
    records = [r for r in tiny.records if r.part != "judge"]
    config = tiny.clip_config.model_copy(update={"part": "judge"})
    with pytest.raises(ValueError, match="0 train images of part 'judge', fewer than one batch"):
        train_clip(tiny.folder, records, config, tmp_path, silent)


def test_data_without_val_is_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    records = [r for r in tiny.records if r.split == "train"]
    with pytest.raises(ValueError, match="no val images"):
        train_clip(tiny.folder, records, tiny.clip_config, tmp_path, silent)


def test_alt_text_is_asked_for_where_there_is_none() -> None:
    with pytest.raises(ValueError, match=r"images/1\.png: no `alt_text`.* set `text: captions`"):
        texts_of(WITHOUT_ALT_TEXT, "alt_text")


def test_texts_are_the_long_one_or_the_references() -> None:
    both = dataclasses.replace(WITHOUT_ALT_TEXT, alt_text="a red boat on the sea")
    assert texts_of(both, "alt_text") == ["a red boat on the sea"]
    assert texts_of(both, "captions") == ["a boat", "the sea"]
    assert texts_of(both, "captions", [1]) == ["the sea"]


def test_a_reference_that_is_not_there_is_refused() -> None:
    record = Record("images/1.png", "train", ("a boat",))
    with pytest.raises(ValueError, match=r"images/1\.png: has 1 references, .*number 3"):
        texts_of(record, "captions", [3])


@pytest.fixture(scope="module")
def checkpoint(tiny: SimpleNamespace) -> Path:
    """Weights of a timm trunk, as a checkpoint file holds them."""
    config = tiny.clip_config.model_copy(update=LOCKED)
    torch.manual_seed(3)
    trunk = towers.build_model(config, 8).visual.trunk  # type: ignore[union-attr]
    path = tiny.new() / "trunk.safetensors"
    save_file(dict(trunk.state_dict()), path)  # type: ignore[union-attr]
    return path


def test_a_locked_tower_without_checkpoint_is_refused(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"needs `timm_checkpoint`: random weights learn nothing"):
        train(tiny, tmp_path, **LOCKED)


def test_a_locked_tower_is_never_random_when_its_checkpoint_is_gone(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(ModelFolderError, match=r"gone\.safetensors does not exist"):
        train(tiny, tmp_path, **LOCKED, timm_checkpoint=str(tmp_path / "gone.safetensors"))


def test_a_locked_trunk_is_unchanged_by_training(
    tiny: SimpleNamespace, tmp_path: Path, checkpoint: Path
) -> None:
    train(tiny, tmp_path, **LOCKED, timm_checkpoint=str(checkpoint))
    trained, prefix = load_file(tmp_path / "model.safetensors"), "model.visual.trunk."
    trunk = {k.removeprefix(prefix): v for k, v in trained.items() if k.startswith(prefix)}
    given = load_file(checkpoint)
    assert trunk.keys() == given.keys()
    assert all(torch.equal(trunk[name], given[name]) for name in given)


def test_an_encoder_with_a_locked_trunk_sees_as_its_checkpoint_does(
    tiny: SimpleNamespace, tmp_path: Path, checkpoint: Path
) -> None:
    train(tiny, tmp_path, **LOCKED, timm_checkpoint=str(checkpoint))
    config = load_encoder(tmp_path).config
    given = towers.build_model(config, 8).eval()
    towers.load_trunk(given, checkpoint)
    pixel_values = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = towers.image_forward(given, pixel_values).grid
        assert torch.equal(load_encoder(tmp_path).grid_features(pixel_values), expected)


def test_a_locked_tower_of_another_kind_is_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a frozen image tower needs"):
        train(tiny, tmp_path, image_trainable=False)


def test_dropped_words_are_unknown_and_special_tokens_stay() -> None:
    torch.manual_seed(0)
    tokens = torch.tensor([[BOS, 7, 8, 9, EOS, PAD]]).repeat(2000, 1)
    dropped = drop_words(tokens, 0.25)
    assert set(dropped[:, [0, 4, 5]].unique().tolist()) == {BOS, EOS, PAD}
    share = (dropped[:, 1:4] == UNK).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.02)
    assert drop_words(tokens, 0.0) is tokens


def tune(
    tiny: SimpleNamespace, fields: dict[str, object], destination: Path, **changes: object
) -> dict[str, float]:
    """Tune a tiny pretrained encoder on the tiny world."""
    steps = {"epochs": 1, "batch_size": 16, "lr": 1e-3, "bf16": False}
    config = ClipConfig.model_validate({**fields, **steps, **changes})
    return train_clip(tiny.folder, tiny.records, config, destination, silent)


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-siglip", "tiny-roberta"])
def test_a_pretrained_encoder_is_packed_as_it_is(
    name: str, tiny: SimpleNamespace, tmp_path: Path, open_clip_models: dict[str, SimpleNamespace]
) -> None:
    own = open_clip_models[name]
    metrics = tune(tiny, own.fields, tmp_path, epochs=0, part="nobody's")
    assert set(metrics) == {"val_t2i_r1"}
    packed, reference = load_encoder(tmp_path), own.reference.state_dict()
    tensors = {k.removeprefix("text."): v for k, v in packed.model.state_dict().items()}
    assert all(torch.equal(tensors[k.removeprefix("text.")], v) for k, v in reference.items())
    assert not list(tmp_path.glob("pixels*"))


def moved(checkpoint: Path, folder: Path) -> set[str]:
    """Towers and scalars of a tuned encoder that are no longer the checkpoint's."""
    before, after = load_file(checkpoint), load_encoder(folder).model.state_dict()
    named = {name: name if name in after else f"text.{name}" for name in before}
    moved = {new for old, new in named.items() if not torch.equal(before[old], after[new])}
    return {name.split(".")[0] for name in moved}


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-rn", "tiny-roberta"])
def test_a_pretrained_encoder_learns_from_where_it_was(
    name: str, tiny: SimpleNamespace, tmp_path: Path, open_clip_models: dict[str, SimpleNamespace]
) -> None:
    own = open_clip_models[name]
    metrics = tune(tiny, own.fields, tmp_path)
    assert moved(own.checkpoint, tmp_path) == {"visual", "text", "logit_scale"}
    assert metrics["loss"] == pytest.approx(math.log(16), abs=1)
    assert "contrastive" not in metrics  # no words are predicted beside the contrast


@pytest.mark.parametrize("name", ["tiny-rn", "tiny-siglip"])
def test_a_locked_image_tower_of_a_pretrained_encoder_stays(
    name: str, tiny: SimpleNamespace, tmp_path: Path, open_clip_models: dict[str, SimpleNamespace]
) -> None:
    own = open_clip_models[name]
    tune(tiny, own.fields, tmp_path, image_trainable=False)
    biased = {"logit_bias"} if name == "tiny-siglip" else set()  # no softmax would move it
    assert moved(own.checkpoint, tmp_path) == {"text", "logit_scale"} | biased


def test_a_sigmoid_model_is_told_by_its_bias(
    open_clip_models: dict[str, SimpleNamespace],
) -> None:
    torch.manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(4, 6), dim=-1) for _ in range(2))
    for name, loss in (("tiny-vit", ClipLoss()), ("tiny-siglip", SigLipLoss())):
        config = ClipConfig.model_validate(open_clip_models[name].fields)
        encoder = load_pretrained(config, silent)
        scale = encoder.logit_scale
        bias = () if encoder.logit_bias is None else (encoder.logit_bias,)
        reference = loss(images, texts, scale, *bias)
        torch.testing.assert_close(matching_loss(encoder, images, texts), reference)
