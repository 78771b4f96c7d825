"""Weights of open_clip's architectures: agreement with open_clip, saving, what is refused."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file, save_file

from finecap.config import ClipConfig
from finecap.log import silent
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.folder import ModelFolderError
from finecap.models.pretrained import load_pretrained, write_random

KINDS = ("tiny-vit", "tiny-rn", "tiny-both-ways", "tiny-siglip", "tiny-coca", "tiny-roberta")
OTHER_TEXTS = ("tiny-bert", "tiny-m2m", "tiny-mt5")
GRIDS = {
    "tiny-vit": (16, 32),
    "tiny-rn": (4, 256),
    "tiny-both-ways": (16, 16),
    "tiny-siglip": (100, 96),
    "tiny-coca": (16, 32),
    "tiny-roberta": (16, 32),
}
TEXTS = ["a boat", "a photo depicts a red boat on the sea", "a !% sea", "", "the " * 90]


@pytest.fixture(scope="module")
def load(open_clip_models: dict[str, SimpleNamespace]) -> Callable[..., ClipEncoder]:
    """The encoder of that tiny architecture, with fields of the config changed."""

    def loaded(name: str, **changes: object) -> ClipEncoder:
        fields = {**open_clip_models[name].fields, **changes}
        return load_pretrained(ClipConfig.model_validate(fields), silent)

    return loaded


def photo(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def tokens_of(name: str, tokenizer: Path, texts: list[str]) -> torch.Tensor:
    """Ids as open_clip's own tokenizer of the architecture gives them."""
    if name != "tiny-siglip":  # whose registered one is nobody's
        return open_clip.get_tokenizer(name)(texts)
    own = open_clip.tokenizer.HFTokenizer(str(tokenizer), 16, clean="canonicalize")
    return own(texts)


@pytest.mark.parametrize("name", [*KINDS, *OTHER_TEXTS])
def test_text_features_are_open_clips_for_texts_of_any_length(
    name: str,
    load: Callable[..., ClipEncoder],
    open_clip_models: dict[str, SimpleNamespace],
    hub_tokenizer: Path,
) -> None:
    tokens = tokens_of(name, hub_tokenizer, TEXTS)
    with torch.no_grad():
        reference = open_clip_models[name].reference.encode_text(tokens, normalize=True)
    encoder = load(name)
    alone = torch.cat([encoder.encode_texts([text], prompt=False) for text in TEXTS])
    together = encoder.encode_texts(TEXTS, prompt=False)
    torch.testing.assert_close(alone, reference, rtol=0, atol=1e-5)
    torch.testing.assert_close(together, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_image_features_and_grid_are_open_clips(
    name: str, load: Callable[..., ClipEncoder], open_clip_models: dict[str, SimpleNamespace]
) -> None:
    encoder, reference = load(name), open_clip_models[name].reference
    pixel_values = torch.stack([encoder.preprocess(photo(i, 50, 70)) for i in range(2)])
    with torch.no_grad():
        expected = reference.encode_image(pixel_values, normalize=True)
        seen = encoder.image_forward(pixel_values)
    torch.testing.assert_close(seen.features, expected, rtol=0, atol=1e-5)
    assert tuple(seen.grid.shape) == (2, *GRIDS[name])
    assert encoder.dim == expected.shape[1]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tiny-rn", {}),
        ("tiny-siglip", {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}),
    ],
)
def test_pixels_are_open_clips(
    name: str, settings: dict[str, Any], load: Callable[..., ClipEncoder]
) -> None:
    encoder = load(name)
    size = encoder.config.image_size
    transform = image_transform_v2(PreprocessCfg(size=size, **settings), is_train=False)
    ours = encoder.preprocess(photo(0, 170, 230))
    reference = transform(import_module("PIL.Image").fromarray(photo(0, 170, 230)))
    level = 1 / 255 / min(encoder.preprocessing.std)  # of 8 bits
    torch.testing.assert_close(ours, reference, rtol=0, atol=1.01 * level)


def test_causal_texts_are_cut_and_others_fill_their_context(
    load: Callable[..., ClipEncoder],
) -> None:
    assert load("tiny-vit").tokenize(["a boat"], prompt=False).shape == (1, 4)
    assert load("tiny-both-ways").tokenize(["a boat"]).shape == (1, 77)
    assert load("tiny-siglip").tokenize(["a boat"]).shape == (1, 16)
    assert load("tiny-coca").tokenize(["a boat"]).shape == (1, 20)
    assert load("tiny-roberta").tokenize(["a boat", "a"], prompt=False).shape == (2, 4)
    assert load("tiny-vit").encode_texts([]).shape == (0, 12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("tower", [None, "joint", "recurrent"])
def test_a_saved_encoder_comes_back_with_nothing_else_at_hand(
    name: str,
    tower: str | None,
    tmp_path: Path,
    load: Callable[..., ClipEncoder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = load(name)
    if tower:
        encoder.add_head(8, tower)
    encoder.eval().save(tmp_path)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {})
    again = load_encoder(tmp_path)
    texts = ["a boat", "a red boat on the sea"]
    assert torch.equal(again.encode_texts(texts), encoder.encode_texts(texts))
    pictures = [photo(0, 40, 60)]
    assert torch.equal(again.encode_images(pictures), encoder.encode_images(pictures))
    if tower:
        assert torch.equal(again.grammar_scores(texts), encoder.grammar_scores(texts))


@pytest.mark.parametrize("name", KINDS)
def test_a_recurrent_head_reads_a_text_to_its_end_and_no_further(
    name: str, load: Callable[..., ClipEncoder]
) -> None:
    encoder = load(name)
    encoder.add_head(8, "recurrent")
    texts = ["a boat", "a red boat on the sea"]
    alone = torch.cat([encoder.grammar_log_scores([text]) for text in texts])
    torch.testing.assert_close(encoder.grammar_log_scores(texts), alone)
    assert alone[0] != alone[1]


def test_siglips_logits_have_a_bias_and_no_bound(load: Callable[..., ClipEncoder]) -> None:
    siglip, clip = load("tiny-siglip"), load("tiny-vit")
    for encoder in (siglip, clip):
        encoder.model.logit_scale.data.fill_(5.0)  # type: ignore[union-attr, operator]
    assert siglip.logit_bias is not None
    assert siglip.logit_bias.item() == pytest.approx(-10, abs=0.1)
    assert siglip.logit_scale.item() == pytest.approx(148.41, abs=0.01)
    assert clip.logit_bias is None
    assert clip.logit_scale.item() == 100.0


def test_a_checkpoint_may_be_a_torch_file(
    tmp_path: Path, load: Callable[..., ClipEncoder], open_clip_models: dict[str, SimpleNamespace]
) -> None:
    tensors = load_file(open_clip_models["tiny-vit"].checkpoint)
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}
    torch.save(wrapped, tmp_path / "weights.pt")
    encoder = load("tiny-vit", pretrained=str(tmp_path / "weights.pt"))
    assert torch.equal(encoder.encode_texts(["a"]), load("tiny-vit").encode_texts(["a"]))


def test_places_that_transformers_once_kept_are_no_weights(
    tmp_path: Path, load: Callable[..., ClipEncoder], open_clip_models: dict[str, SimpleNamespace]
) -> None:
    """As in the published roberta-ViT-B-32."""
    tensors = load_file(open_clip_models["tiny-roberta"].checkpoint)
    tensors["text.transformer.embeddings.position_ids"] = torch.arange(24)[None]
    save_file(tensors, tmp_path / "weights.safetensors")
    encoder = load("tiny-roberta", pretrained=str(tmp_path / "weights.safetensors"))
    assert torch.equal(encoder.encode_texts(["a"]), load("tiny-roberta").encode_texts(["a"]))


@pytest.fixture
def tag(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives `tiny-vit` a tag."""

    def add(**source: object) -> None:
        plain = open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_e16")
        tags = {"somewhere": {**plain, "url": "", "hf_hub": "", **source}}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", tags)

    return add


def test_a_tag_brings_its_activation_along(
    load: Callable[..., ClipEncoder],
    tag: Callable[..., None],
    open_clip_models: dict[str, SimpleNamespace],
) -> None:
    checkpoint = open_clip_models["tiny-vit"].checkpoint
    tag(file=str(checkpoint), quick_gelu=True)
    encoder = load("tiny-vit", pretrained="somewhere")
    quick = open_clip.create_model("tiny-vit", force_quick_gelu=True).eval()
    open_clip.load_checkpoint(quick, str(checkpoint))
    tokens = open_clip.get_tokenizer("tiny-vit")(["a boat"])
    with torch.no_grad():
        reference = quick.encode_text(tokens, normalize=True)  # type: ignore[operator]
    torch.testing.assert_close(encoder.encode_texts(["a boat"], prompt=False), reference)
    plain = load("tiny-vit").encode_texts(["a boat"], prompt=False)
    assert not torch.allclose(plain, reference, atol=1e-5)


def test_without_network_the_refusal_says_what_to_fetch(
    load: Callable[..., ClipEncoder], tag: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(hf_hub="nobody/tiny-vit.somewhere/")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = (
        r"tag 'somewhere' of tiny-vit could not be downloaded .*\. Run where the hub can be "
        r"reached.*; or fetch open_clip_model"
        r"\.safetensors and open_clip_config\.json from https://huggingface\.co/nobody/tiny-vit"
        r"\.somewhere .* set `pretrained` to the path"
    )
    with pytest.raises(ModelFolderError, match=message):
        load("tiny-vit", pretrained="somewhere")


def test_what_is_neither_file_nor_tag_is_refused_with_the_tags(
    load: Callable[..., ClipEncoder], tag: Callable[..., None], tmp_path: Path
) -> None:
    tag()
    with pytest.raises(
        ModelFolderError, match=r"'openai': neither a file nor a tag of tiny-vit \("
    ):
        load("tiny-vit", pretrained="openai")
    (tmp_path / "weights.npz").write_bytes(b"")
    with pytest.raises(ModelFolderError, match=r"weights\.npz: expected one of \.safetensors"):
        load("tiny-vit", pretrained=str(tmp_path / "weights.npz"))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_broken_checkpoint_is_refused_by_name(
    name: str, tmp_path: Path, load: Callable[..., ClipEncoder]
) -> None:
    (tmp_path / name).write_bytes(b"no tensors in here")
    with pytest.raises(
        ModelFolderError, match=rf"{name} is no state dict \(.*take the .safetensors"
    ):
        load("tiny-vit", pretrained=str(tmp_path / name))


def test_a_checkpoint_of_another_architecture_is_refused(
    load: Callable[..., ClipEncoder], open_clip_models: dict[str, SimpleNamespace], tmp_path: Path
) -> None:
    with pytest.raises(ModelFolderError, match="is of another architecture"):
        load("tiny-vit", pretrained=str(open_clip_models["tiny-rn"].checkpoint))
    tensors = load_file(open_clip_models["tiny-vit"].checkpoint)
    tensors["visual.positional_embedding"] = torch.zeros(50, 32)  # would fit by interpolation
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(ModelFolderError, match=r"size mismatch for visual\.positional_embedding"):
        load("tiny-vit", pretrained=str(tmp_path / "weights.safetensors"))


def test_the_activation_is_reported(open_clip_models: dict[str, SimpleNamespace]) -> None:
    lines: list[str] = []
    config = ClipConfig.model_validate(open_clip_models["tiny-rn"].fields)
    load_pretrained(config, lambda message, *_, **__: lines.append(message))
    assert lines == [
        f"tiny-rn from {config.pretrained} (weights.safetensors), activation QuickGELU"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "RN50"])
def test_published_sizes_give_seven_by_seven_cells(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = open_clip.create_model(name).eval()
    torch.save(reference.state_dict(), tmp_path / "weights.pt")
    fields = {"architecture": name, "pretrained": str(tmp_path / "weights.pt"), "epochs": 0}
    encoder = load_pretrained(ClipConfig.model_validate(fields), silent)
    pixel_values = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        seen = encoder.image_forward(pixel_values)
        expected = reference.encode_image(pixel_values, normalize=True)  # type: ignore[operator]
    assert tuple(seen.grid.shape) == (1, 49, {"ViT-B-32": 768, "RN50": 2048}[name])
    torch.testing.assert_close(seen.features, expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("open_clip_models")
def test_random_weights_stay_marked_as_random(tmp_path: Path) -> None:
    checkpoint, lines = tmp_path / "weights.safetensors", list[str]()
    write_random("tiny-vit", checkpoint)
    before = checkpoint.read_bytes()
    write_random("tiny-vit", checkpoint)
    assert checkpoint.read_bytes() == before
    fields = {"architecture": "tiny-vit", "pretrained": str(checkpoint), "epochs": 0}
    config = ClipConfig.model_validate(fields)
    encoder = load_pretrained(config, lambda message, *_, **__: lines.append(message))
    assert lines[1].startswith(f"RANDOM WEIGHTS in {checkpoint}: what is made with them tells")
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").about_weights == {"random_weights": 1.0}


def test_weights_that_were_trained_are_not_marked(
    load: Callable[..., ClipEncoder], tmp_path: Path
) -> None:
    encoder = load("tiny-vit")
    assert encoder.about_weights == {}
    encoder.save(tmp_path)
    assert "weights" not in json.loads((tmp_path / "config.json").read_text())
    assert not load_encoder(tmp_path).is_random


def test_random_weights_of_no_architecture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="ViT-Z-1"):
        write_random("ViT-Z-1", tmp_path / "weights.safetensors")
