"""A captioner of images: cached features equal raw images, parts, refusals."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finecap.data.tokenizer import BOS
from finecap.models.captioner import load_captioner
from finecap.models.features import open_features
from finecap.models.folder import ModelFolderError
from finecap.models.image_encoder import ImageEncoder
from finecap.models.pixels import PixelCaptioner


@pytest.fixture
def captioner(tiny: SimpleNamespace) -> PixelCaptioner:
    """The tiny world's captioner behind a frozen copy of the tower that its grids came of."""
    tower = ImageEncoder.from_clip(tiny.encoder, trainable=False)
    return PixelCaptioner(tower, load_captioner(tiny.mle)).eval()


def test_a_raw_image_is_scored_as_its_cached_features(
    tiny: SimpleNamespace, captioner: PixelCaptioner
) -> None:
    features, at = open_features(tiny.features_with(32)), np.arange(6)
    ids = torch.randint(4, len(captioner.tokenizer), (6, 2, 7))
    ids[..., 0] = BOS
    raw, cached = (
        model.teacher_forced(model.memory(features.inputs_of(model, at)), ids)
        for model in (captioner, captioner.decoder)
    )
    torch.testing.assert_close(raw, cached, rtol=5e-3, atol=5e-3)  # fp16 on disk
    assert (cached[0, :, :, 4:] - cached[1, :, :, 4:]).abs().max() > 0.02  # images differ by more


def test_pixels_of_a_size_that_was_not_kept_are_refused(
    tiny: SimpleNamespace, captioner: PixelCaptioner
) -> None:
    for size, kept in ((0, "no pixels"), (64, "pixels of 64 px")):
        with pytest.raises(ValueError, match=rf"images of 32 px, .* hold {kept}; set .*: 32`"):
            open_features(tiny.features_with(size)).inputs_of(captioner, np.arange(2))


def test_its_parts_learn_at_rates_of_their_own(captioner: PixelCaptioner) -> None:
    parts = captioner.learning_parts(0.1)
    assert parts == [(captioner.decoder, 1.0), (captioner.image_encoder, 0.1)]
    learning = [p for part, _ in parts for p in part.parameters()]
    assert {id(p) for p in learning} == {id(p) for p in captioner.parameters()}


def test_a_decoder_that_reads_images_is_refused(captioner: PixelCaptioner) -> None:
    with pytest.raises(TypeError, match="expected a captioner of grids, came PixelCaptioner"):
        PixelCaptioner(captioner.image_encoder, captioner)


def test_a_decoder_of_other_channels_is_refused(
    tiny: SimpleNamespace, captioner: PixelCaptioner
) -> None:
    tower = ImageEncoder.from_timm("test_vit", None, image_size=32, trainable=True)
    other = PixelCaptioner(tower, captioner.decoder)
    features = open_features(tiny.features_with(32))
    with pytest.raises(ValueError, match=r"expected \(B, P, 256\), came \(2, 4, 64\)"):
        other.memory(features.inputs_of(other, np.arange(2)))


@pytest.mark.parametrize("missing", ["model.safetensors", "decoder/model.safetensors"])
def test_missing_weights_are_never_replaced_by_random_ones(
    captioner: PixelCaptioner, tmp_path: Path, missing: str
) -> None:
    captioner.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelFolderError, match=f"{missing} does not exist; random weights"):
        load_captioner(tmp_path)
