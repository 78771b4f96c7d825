"""Architectures by name: sizes, what a tag or description settles, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import open_clip
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
from tests.finecap.tiny_open_clip import TINY_TEXT_TOWERS

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
    assert architecture.hugging_face is None
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
    ],
)
def test_other_architectures_are_refused(name: str, message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        resolve(name, {}, ALONE)


def test_every_architecture_resolves_with_its_first_tag(text_models: dict[str, Path]) -> None:
    for name in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(name)
        source = open_clip.get_pretrained_cfg(name, tags[0]) if tags else {}
        architecture = resolve(name, source, ALONE, str(text_models["tiny-roberta"]))
        assert architecture.sizes["embed_dim"] > 0
        is_theirs = "hf_model_name" in registered(name)["text_cfg"]
        assert (architecture.hugging_face is not None) == is_theirs


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint beside which a text tower of Hugging Face is described."""

    def checkpoint(**text: object) -> Path:
        model = {**registered("roberta-ViT-B-32"), "text_cfg": text}
        (tmp_path / DESCRIPTION).write_text(json.dumps({"model_cfg": model, "preprocess_cfg": {}}))
        return tmp_path / "weights.safetensors"

    return checkpoint


@pytest.mark.parametrize("name", TINY_TEXT_TOWERS)
def test_a_hugging_face_text_tower_has_the_sizes_of_its_config(
    name: str, open_clip_models: dict[str, SimpleNamespace]
) -> None:
    architecture = resolve(name, {}, open_clip_models[name].checkpoint)
    sizes = {"embed_dim": 12, "image_size": 32, "text_width": 16, "context_length": 16}
    assert architecture.sizes == sizes
    assert architecture.vocabulary_size == 24
    assert Architecture.model_validate(json.loads(architecture.model_dump_json())) == architecture


def test_a_text_towers_config_is_taken_from_the_tokenizers_folder_where_it_lies_there(
    described: Callable[..., Path], text_models: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint, folder = described(hf_model_name="nobody/bert"), text_models["tiny-bert"]
    found = resolve("roberta-ViT-B-32", {}, checkpoint, str(folder))
    assert found.hugging_face is not None
    assert found.hugging_face["model_type"] == "bert"
    own = described(hf_model_name=str(folder))
    assert resolve("roberta-ViT-B-32", {}, own, str(tmp_path)).hugging_face == found.hugging_face


def test_without_network_the_refusal_says_what_to_put_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = (
        r"the config of its text tower nobody/roberta cannot be read .*; put config\.json and the "
        r"tokenizer's files of https://huggingface\.co/nobody/roberta into .* set `tokenizer`"
    )
    model = {**registered("roberta-ViT-B-32"), "text_cfg": {"hf_model_name": "nobody/roberta"}}
    monkeypatch.setattr("finecap.models.architectures.registered", lambda _: model)
    with pytest.raises(ModelFolderError, match=message):
        resolve("roberta-ViT-B-32", {}, ALONE)


@pytest.mark.parametrize(
    ("kind", "pooler", "message"),
    [
        ("gpt2", "mean_pooler", "is of type 'gpt2' with 'mean_pooler', expected one of roberta, "),
        ("roberta", "max_pooler", "type 'roberta' with 'max_pooler', .* or 'cls_pooler'"),
        ("mine", "mean_pooler", r"the config of its text tower .* cannot be read"),
    ],
)
def test_a_text_tower_that_open_clip_cannot_run_is_refused(
    described: Callable[..., Path], tmp_path: Path, kind: str, pooler: str, message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    checkpoint = described(hf_model_name=str(tmp_path), hf_pooler_type=pooler)
    with pytest.raises(ModelFolderError, match=message):
        resolve("roberta-ViT-B-32", {}, checkpoint)


@pytest.mark.parametrize("name", ["tiny-siglip", *TINY_TEXT_TOWERS])
def test_building_downloads_nothing(
    name: str, open_clip_models: dict[str, SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    architecture = resolve(name, {}, open_clip_models[name].checkpoint)
    architecture.open_clip["vision_cfg"]["timm_model_pretrained"] = True
    if architecture.hugging_face:
        architecture.text["hf_model_name"] = "nobody/gone"
    model = architecture.build()
    reference = open_clip_models[name].reference.state_dict()
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in reference.items()
    }


def test_of_coca_two_towers_are_built(open_clip_models: dict[str, SimpleNamespace]) -> None:
    own = open_clip_models["tiny-coca"]
    built = set(resolve("tiny-coca", {}, own.checkpoint).build().state_dict())
    left_out = set(own.reference.state_dict()) - built
    assert left_out
    assert all(name.startswith("text_decoder.") for name in left_out)
    assert built < set(own.reference.state_dict())
