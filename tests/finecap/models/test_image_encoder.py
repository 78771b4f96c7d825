"""Image towers of a captioner's own: weights or a reason, frozen means frozen, sizes, refusals."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finecap.config import ClipConfig
from finecap.log import silent
from finecap.models import image_encoder
from finecap.models.clip import load_encoder
from finecap.models.features import open_features
from finecap.models.folder import ModelFolderError
from finecap.models.image_encoder import ImageEncoder, ImageTower, write_random_timm
from finecap.models.pretrained import load_pretrained

Checkpoint = Callable[[str], Path]


def resnet(checkpoint: Path | None, *, trainable: bool = False, size: int = 64) -> ImageEncoder:
    return ImageEncoder.from_timm("test_resnet", checkpoint, image_size=size, trainable=trainable)


def statistics(encoder: ImageEncoder) -> list[Tensor]:
    return [b.clone() for n, b in encoder.named_buffers() if "running_" in n]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_checkpoint_is_loaded_without_its_classifier(timm_checkpoint: Checkpoint) -> None:
    published = load_file(timm_checkpoint("test_resnet"))
    own = {k.removeprefix("visual.trunk."): v for k, v in resnet(timm_checkpoint("test_resnet"))
           .state_dict().items()}  # fmt: skip
    assert set(published) - set(own) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, published[name]) for name, tensor in own.items())


def test_random_weights_are_refused_unless_they_are_to_be_trained() -> None:
    with pytest.raises(ValueError, match=r"test_resnet: expected `timm_checkpoint`.*from scratch"):
        resnet(None)
    assert all(p.requires_grad for p in resnet(None, trainable=True).parameters())


def test_random_weights_that_stand_in_stay_marked(
    tmp_path: Path, timm_checkpoint: Checkpoint
) -> None:
    checkpoint = tmp_path / "stand-in.safetensors"
    write_random_timm("test_resnet", checkpoint)
    assert resnet(checkpoint).is_random
    assert not resnet(timm_checkpoint("test_resnet")).is_random
    before = checkpoint.read_bytes()
    write_random_timm("test_resnet", checkpoint)
    assert checkpoint.read_bytes() == before
    with pytest.raises(ValueError, match="no such architecture"):
        write_random_timm("resnet-z", checkpoint)


def test_a_checkpoint_that_is_missing_or_foreign_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"gone\.safetensors does not exist"):
        resnet(tmp_path / "gone.safetensors")
    (tmp_path / "page.safetensors").write_text("<html>not found</html>")
    with pytest.raises(ModelFolderError, match=r"page\.safetensors is no safetensors file"):
        resnet(tmp_path / "page.safetensors")


def test_a_checkpoint_of_another_architecture_is_refused(timm_checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelFolderError, match=r"test_vit\.safetensors does not fit"):
        resnet(timm_checkpoint("test_vit"))


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"`timm_model` 'resnet51': timm .* no such architecture"):
        ImageEncoder.from_timm("resnet51", None, image_size=0, trainable=True)


def test_a_frozen_tower_is_a_constant_in_any_mode(timm_checkpoint: Checkpoint) -> None:
    encoder, images = resnet(timm_checkpoint("test_resnet")).train(), torch.randn(3, 3, 64, 64)
    before = statistics(encoder)
    grid = encoder(images)
    assert not grid.requires_grad
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(grid, encoder.eval()(images))
    assert equal(before, statistics(encoder))


def test_a_trained_tower_keeps_the_statistics_of_its_checkpoint(
    timm_checkpoint: Checkpoint,
) -> None:
    encoder = resnet(timm_checkpoint("test_resnet"), trainable=True).train()
    before = statistics(encoder)
    assert encoder(torch.randn(3, 3, 64, 64)).requires_grad
    assert equal(before, statistics(encoder))


def test_a_tower_from_scratch_learns_its_statistics_in_training_mode_alone() -> None:
    encoder = resnet(None, trainable=True)
    before = statistics(encoder.eval())
    encoder(torch.randn(3, 3, 64, 64))
    assert equal(before, statistics(encoder))
    encoder.train()(torch.randn(3, 3, 64, 64))
    assert not any(torch.equal(a, b) for a, b in zip(before, statistics(encoder), strict=True))


@pytest.mark.parametrize(("name", "cells"), [("test_resnet", 4), ("test_vit", 16)])
def test_a_grid_has_the_towers_cells_and_channels(name: str, cells: int) -> None:
    encoder = ImageEncoder.from_timm(name, None, image_size=64, trainable=True)
    assert encoder(torch.randn(2, 3, 64, 64)).shape == (2, cells, encoder.channels)


def test_without_a_size_images_are_as_large_as_the_tower_was_made_for() -> None:
    assert resnet(None, trainable=True, size=0).tower.image_size == 160


def test_a_vits_positions_are_interpolated_from_its_checkpoint(timm_checkpoint: Checkpoint) -> None:
    checkpoint = timm_checkpoint("test_vit")
    encoder = ImageEncoder.from_timm("test_vit", checkpoint, image_size=64, trainable=False)
    trunk = cast(Any, encoder.visual).trunk
    published = load_file(checkpoint)["pos_embed"]
    assert trunk.pos_embed.shape[1] == 1 + 16
    assert torch.equal(trunk.pos_embed[:, 0], published[:, 0])  # the class token's


def test_a_size_that_a_tower_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = nn.Module()
    cfg = {"input_size": (3, 160, 160), "fixed_input_size": True, "architecture": "fixed"}
    cast(Any, fixed).pretrained_cfg = {**cfg, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    monkeypatch.setattr(image_encoder, "_new_trunk", lambda _: fixed)
    with pytest.raises(ValueError, match=r"`image_size` 64: fixed reads images of 160 px alone"):
        ImageEncoder.from_timm("fixed", None, image_size=64, trainable=True)


def test_pixels_are_normalised_as_the_tower_was_trained() -> None:
    encoder = resnet(None, trainable=True, size=32)  # of mean and deviation 0.5
    pixels = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    pixels[..., 2] = 255
    values = encoder.pixel_values(pixels)
    assert values.shape == (1, 3, 32, 32)
    assert [values[0, c].unique().item() for c in range(3)] == [-1.0, -1.0, 1.0]


def test_pixels_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 64, 64, 3\), came \(1, 32, 32, 3\)"):
        resnet(None, trainable=True).pixel_values(np.zeros((1, 32, 32, 3), dtype=np.uint8))


def test_a_pass_in_parts_equals_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, images = resnet(None, trainable=True).eval(), torch.randn(5, 3, 64, 64)
    whole = encoder(images)  # with gradient: never in parts
    monkeypatch.setattr(image_encoder, "PIXELS_AT_ONCE", 2 * 64**2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), whole, rtol=1e-4, atol=1e-4)


def test_a_frozen_tower_takes_few_images_at_once(
    timm_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    encoder = resnet(timm_checkpoint("test_resnet"))
    monkeypatch.setattr(image_encoder, "PIXELS_AT_ONCE", 2 * 64**2)
    grid_forward = image_encoder.towers.grid_forward

    def seen(model: nn.Module, images: Tensor) -> Tensor:
        sizes.append(len(images))
        return grid_forward(model, images)

    monkeypatch.setattr(image_encoder.towers, "grid_forward", seen)
    encoder(torch.randn(5, 3, 64, 64))  # gradient is on, as in training
    assert sizes == [2, 2, 1]


def test_a_copy_of_the_encoders_tower_sees_the_cached_grid(tiny: SimpleNamespace) -> None:
    copied = ImageEncoder.from_clip(tiny.encoder, trainable=False)
    features = open_features(tiny.features_with(32))
    assert features.pixels is not None
    grid = copied(copied.pixel_values(features.pixels[:5]))
    half = grid.half().float()  # the cache's rounding; batches round in another order
    torch.testing.assert_close(half, features.grid_of(np.arange(5)), rtol=2e-3, atol=1e-3)


def test_a_copy_is_no_alias(tiny: SimpleNamespace) -> None:
    copied = ImageEncoder.from_clip(tiny.encoder, trainable=True)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert any(p.any() for p in cast(Any, load_encoder(tiny.encoder).model).visual.parameters())


@pytest.mark.parametrize("kind", ["timm", "clip"])
def test_a_tower_is_rebuilt_from_what_is_saved_of_it(
    tiny: SimpleNamespace, timm_checkpoint: Checkpoint, tmp_path: Path, kind: str
) -> None:
    vit = {"image_size": 64, "trainable": False}
    encoder = (
        ImageEncoder.from_clip(tiny.encoder, trainable=True)
        if kind == "clip"
        else ImageEncoder.from_timm("test_vit", timm_checkpoint("test_vit"), **vit)
    )
    save_file(encoder.state_dict(), tmp_path / "weights")
    again = ImageEncoder.rebuilt(asdict(encoder.tower))
    again.load_state_dict(load_file(tmp_path / "weights"))
    assert again.tower == encoder.tower
    images = torch.randn(2, 3, encoder.tower.image_size, encoder.tower.image_size)
    assert torch.equal(again.eval()(images), encoder.eval()(images))


def test_a_tower_of_another_version_is_refused(tiny: SimpleNamespace) -> None:
    saved = asdict(ImageEncoder.from_clip(tiny.encoder, trainable=True).tower)
    with pytest.raises(ModelFolderError, match=r"another version of .*its fields are clip,"):
        ImageTower.of({k: v for k, v in saved.items() if k != "std"})
    settings = {**saved["clip"]["settings"], "image_tower": "eye"}
    foreign = {**saved, "clip": {**saved["clip"], "settings": settings}}
    with pytest.raises(ModelFolderError, match=r"another version of finecap \(image_tower: Input"):
        ImageEncoder.rebuilt(foreign)


@pytest.mark.parametrize(
    "name", ["tiny-vit", "tiny-rn", "tiny-both-ways", "tiny-coca", "tiny-roberta"]
)
def test_the_tower_of_a_pretrained_encoder_is_copied_and_rebuilt(
    open_clip_models: dict[str, SimpleNamespace], tmp_path: Path, name: str
) -> None:
    source = load_pretrained(ClipConfig.model_validate(open_clip_models[name].fields), silent)
    source.save(tmp_path)
    copied = ImageEncoder.from_clip(tmp_path, trainable=False)
    size = copied.tower.image_size
    pixels = np.random.default_rng(0).integers(0, 255, (2, size, size, 3), dtype=np.uint8)
    images = copied.pixel_values(pixels)
    torch.testing.assert_close(images, source.pixel_values(pixels))
    with torch.no_grad():
        torch.testing.assert_close(copied(images), source.eval().grid_features(images))
    again = ImageEncoder.rebuilt(json.loads(json.dumps(asdict(copied.tower))))
    again.load_state_dict(copied.state_dict())
    assert torch.equal(again(images), copied(images))


def test_an_encoder_that_squashes_images_is_not_copied(
    open_clip_models: dict[str, SimpleNamespace], tmp_path: Path
) -> None:
    config = ClipConfig.model_validate(open_clip_models["tiny-siglip"].fields)
    load_pretrained(config, silent).save(tmp_path)
    with pytest.raises(ValueError, match=r"resizes images by Resizing\(mode='squash'.*`timm`"):
        ImageEncoder.from_clip(tmp_path, trainable=False)
