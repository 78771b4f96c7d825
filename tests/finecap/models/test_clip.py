"""The encoder: every kind of tower, agreement with open_clip, saving, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from finecap.config import ClipConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models import clip, towers
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.folder import ModelFolderError

SMALL = {"embed_dim": 16, "text_width": 16, "text_heads": 2, "context_length": 12}
TOWERS = {
    "resnet": ClipConfig(image_tower="resnet", image_size=32, image_width=8, **SMALL),
    "vit": ClipConfig(image_tower="vit", image_size=32, image_width=32, image_layers=2, **SMALL),
    "timm": ClipConfig(image_tower="timm", timm_model="mobilenetv2_050", image_size=64, **SMALL),
}
GRIDS = {"resnet": (1, 256), "vit": (16, 32), "timm": (4, 1280)}


def build(config: ClipConfig) -> ClipEncoder:
    torch.manual_seed(0)
    words = WordTokenizer.build(["a red boat", "A photo depicts"], 1)
    return ClipEncoder(config, words).eval()


def image(seed: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", TOWERS)
def test_one_pass_gives_the_grid_and_open_clips_own_features(kind: str) -> None:
    encoder = build(TOWERS[kind])
    pixel_values = torch.stack([encoder.preprocess(image(i)) for i in range(2)])
    with torch.no_grad():
        seen = encoder.image_forward(pixel_values)
        reference = encoder.model.encode_image(pixel_values, normalize=True)  # type: ignore[operator]
    torch.testing.assert_close(seen.features, reference)
    assert tuple(seen.grid.shape) == (2, *GRIDS[kind])


@pytest.mark.parametrize("kind", TOWERS)
def test_a_pass_in_parts_equals_a_whole_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build(TOWERS[kind])
    pixel_values = torch.stack([encoder.preprocess(image(i)) for i in range(5)])
    whole = encoder.image_forward(pixel_values)  # with gradient: never in parts
    monkeypatch.setattr(clip, "PIXELS_AT_ONCE", 2 * encoder.config.image_size**2)
    assert encoder.images_at_once == 2
    with torch.no_grad():
        parts = encoder.image_forward(pixel_values)
    torch.testing.assert_close(parts.grid, whole.grid.detach(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(parts.features, whole.features.detach())


def test_cutting_the_context_changes_no_text_feature() -> None:
    encoder = build(TOWERS["resnet"])
    texts = ["a red boat", "boat"]
    full = torch.from_numpy(encoder.tokenizer.encode_batch(texts, 12))
    with torch.no_grad():
        reference = encoder.model.encode_text(full, normalize=True)  # type: ignore[operator]
    torch.testing.assert_close(encoder.encode_texts(texts, prompt=False), reference)


def test_the_prompt_is_part_of_the_text() -> None:
    encoder = build(TOWERS["resnet"])
    spelled_out = encoder.encode_texts(["A photo depicts a red boat"], prompt=False)
    torch.testing.assert_close(encoder.encode_texts(["a red boat"]), spelled_out)


def test_vectors_have_unit_length() -> None:
    encoder = build(TOWERS["resnet"])
    vectors = torch.cat([encoder.encode_images([image(0), image(1)]), encoder.encode_texts(["a"])])
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))


def test_batches_equal_single_texts() -> None:
    encoder = build(TOWERS["resnet"])
    texts = ["a red boat", "a", "red red red boat"]
    alone = torch.cat([encoder.encode_texts([t]) for t in texts])
    torch.testing.assert_close(encoder.encode_texts(texts, batch_size=2), alone)


@pytest.mark.parametrize("tower", ["joint", "recurrent"])
def test_a_saved_encoder_answers_as_before(tmp_path: Path, tower: str) -> None:
    encoder = build(TOWERS["resnet"])
    encoder.add_head(8, tower)
    encoder.save(tmp_path)
    again = load_encoder(tmp_path)
    assert torch.equal(again.encode_texts(["a boat"]), encoder.encode_texts(["a boat"]))
    assert torch.equal(again.grammar_scores(["a boat"]), encoder.grammar_scores(["a boat"]))
    assert torch.equal(again.encode_images([image(0)]), encoder.encode_images([image(0)]))


def test_an_encoder_without_head_has_no_grammar_score() -> None:
    with pytest.raises(ValueError, match="no grammar head"):
        build(TOWERS["resnet"]).grammar_scores(["a boat"])


def test_a_trunk_checkpoint_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    encoder = build(TOWERS["timm"])
    with pytest.raises(ModelFolderError, match=r"nowhere\.safetensors does not exist"):
        towers.load_trunk(encoder.model, tmp_path / "nowhere.safetensors")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"no config\.json"):
        load_encoder(tmp_path)


def test_an_encoder_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    build(TOWERS["resnet"]).save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"text_heads"', '"text_hands"'))
    with pytest.raises(ModelFolderError, match=r"another version of finecap \(text_hands"):
        load_encoder(tmp_path)
