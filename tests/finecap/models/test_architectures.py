"""Architectures by name: sizes, what a tag or description settles, what is refused."""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from finecap.models.architectures import (
    DESCRIPTION,
    SIGLIP,
    Architecture,
    Preprocessing,
    registered,
    resolve,
)
from finecap.models.folder import ModelFolderError

import_module("finecap.models.torchvision_shim")
import open_clip  # noqa: E402

ALONE = Path("nowhere") / "weights.safetensors"
OPENAI = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
CLIP = Preprocessing()


def test_sizes_are_open_clips() -> None:
    sizes = resolve("ViT-B-32", {}, ALONE).sizes
    assert sizes == {"embed_dim": 512, "image_size": 224, "text_width": 512, "context_length": 77}
    siglip = resolve("ViT-B-16-SigLIP-256", {}, ALONE)
    assert siglip.sizes["context_length"] == 64
    assert (siglip.sizes["image_size"], siglip.vocabulary_size) == (256, 32000)


def test_it_survives_being_written_and_read() -> None:
    architecture = resolve("ViT-B-16-SigLIP", {}, ALONE)
    written = json.dumps(architecture.model_dump())
    assert Architecture.model_validate(json.loads(written)) == architecture


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ViT-B-32", CLIP),
        ("ViT-B-16-SigLIP", SIGLIP),
        ("PE-Core-B-16", Preprocessing(**{**SIGLIP.model_dump(), "interpolation": "bilinear"})),
        ("tiny-vit", CLIP),
        ("tiny-siglip", SIGLIP),
    ],
)
def test_a_lone_checkpoint_is_preprocessed_as_all_tags_of_its_name(
    name: str, expected: Preprocessing, open_clip_models: dict[str, SimpleNamespace]
) -> None:
    assert open_clip_models
    assert resolve(name, {}, ALONE).preprocessing == expected


def test_where_tags_differ_a_lone_checkpoint_is_refused() -> None:
    with pytest.raises(
        ModelFolderError, match=rf"tags of ViT-L-14 differ .* put the {DESCRIPTION}"
    ):
        resolve("ViT-L-14", {}, ALONE)
    assert resolve("ViT-L-14", OPENAI, ALONE).preprocessing == CLIP


def test_a_tag_settles_the_activation() -> None:
    assert resolve("ViT-B-32", OPENAI, ALONE).open_clip["quick_gelu"] is True
    assert resolve("ViT-B-32", {}, ALONE).open_clip["quick_gelu"] is False
    assert resolve("ViT-B-32-quickgelu", {}, ALONE).open_clip["quick_gelu"] is True


def test_a_description_beside_the_checkpoint_is_believed(tmp_path: Path) -> None:
    model = {**registered("ViT-B-32"), "quick_gelu": True}
    preprocess = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "mode": "RGB"}
    description = {"model_cfg": model, "preprocess_cfg": preprocess}
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    architecture = resolve("ViT-B-32", {}, tmp_path / "weights.safetensors")
    assert architecture.open_clip["quick_gelu"] is True
    assert architecture.preprocessing.std == (1, 1, 1)
    assert architecture.preprocessing.resizing.interpolation == "bilinear"


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_broken_description_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(ModelFolderError, match=r"open_clip_config\.json: not a JSON object"):
        resolve("ViT-B-32", {}, tmp_path / "weights.safetensors")


def test_preprocessing_that_we_lack_is_refused(tmp_path: Path) -> None:
    description = {"preprocess_cfg": {"resize_mode": "longest"}}
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(ModelFolderError, match="not supported: resize_mode is 'longest'"):
        resolve("ViT-B-32", {}, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-23", "no architecture 'ViT-B-23'; the most alike of .* ViT-B-32"),
        ("hf-hub:someone/model", "no architecture 'hf-hub:someone/model'"),
        ("coca_ViT-B-32", "CoCa model, which has a third tower"),
        ("roberta-ViT-B-32", r"Hugging Face text tower \(roberta-base\)"),
    ],
)
def test_other_architectures_are_refused(name: str, message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        resolve(name, {}, ALONE)


def test_every_supported_architecture_resolves_with_its_first_tag() -> None:
    unsupported: list[str] = []
    for name in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(name)
        source = open_clip.get_pretrained_cfg(name, tags[0]) if tags else {}
        config = registered(name)
        if "multimodal_cfg" in config or "hf_model_name" in config["text_cfg"]:
            unsupported.append(name)
            continue
        assert resolve(name, source, ALONE).sizes["embed_dim"] > 0
    assert len(unsupported) == 13, unsupported  # CoCa's, and those with a Hugging Face text tower


def test_building_downloads_nothing(
    open_clip_models: dict[str, SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    architecture = resolve("tiny-siglip", {}, open_clip_models["tiny-siglip"].checkpoint)
    architecture.open_clip["vision_cfg"]["timm_model_pretrained"] = True
    model = architecture.build()
    reference = open_clip_models["tiny-siglip"].reference.state_dict()
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in reference.items()
    }
