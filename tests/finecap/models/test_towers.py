"""Towers: sizes, normalisation and trunk checkpoints; features themselves: `test_clip`."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import timm
import torch
from open_clip.timm_model import TimmModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finecap.config import ClipConfig
from finecap.models import towers
from finecap.models.architectures import resolve
from finecap.models.folder import ModelFolderError

SMALL: dict[str, Any] = {"embed_dim": 16, "text_width": 16, "text_heads": 2, "image_size": 32}
RESNET = ClipConfig(image_width=8, **SMALL)
TIMM = ClipConfig(image_tower="timm", timm_model="mobilenetv2_050", **SMALL)


@pytest.fixture(scope="module")
def timm_model() -> nn.Module:
    torch.manual_seed(0)
    return towers.build_model(TIMM, 10)


@pytest.fixture(scope="module")
def tensors(timm_model: nn.Module) -> dict[str, Tensor]:
    """A checkpoint's tensors as timm publishes them, classifier included."""
    trunk = cast(Any, timm_model).visual.trunk.state_dict()
    return {**{name: tensor.clone() for name, tensor in trunk.items()}, **classifier()}


def classifier() -> dict[str, Tensor]:
    return {"classifier.weight": torch.zeros(1000, 1280), "classifier.bias": torch.zeros(1000)}


def test_the_vocabulary_sizes_the_text_tower() -> None:
    tower = towers.text_tower(towers.build_model(RESNET, 77))
    assert tower.token_embedding.num_embeddings == 77


@pytest.mark.parametrize("training", [True, False])
def test_asking_for_grid_channels_leaves_the_mode(training: bool) -> None:
    model = towers.build_model(RESNET, 10).train(training)
    assert towers.grid_channels(model, 32) == 256
    assert model.training == training


def test_each_tower_is_normalised_as_it_was_trained() -> None:
    assert towers.preprocessing(RESNET) == towers.CLIP
    assert towers.preprocessing(TIMM) == towers.IMAGENET


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_a_trunks_grid_is_what_timm_calls_its_last_map(name: str) -> None:
    torch.manual_seed(0)
    options = {"embed_dim": 16, "pool": "avg", "proj": "linear"}
    if name.startswith("swin"):  # channels last, and made small
        visual = TimmModel("test_convnext", **options)
        small = {"img_size": 64, "patch_size": 4, "window_size": 4, "embed_dim": 8}
        depth = {"depths": (1, 1), "num_heads": (2, 2), "num_classes": 0}
        visual.trunk = timm.models.swin_transformer.SwinTransformer(**small, **depth)
        visual.head = nn.Linear(16, 16)
        size = 64
    else:
        visual, size = TimmModel(name, **options), 160
    model = type("Model", (), {"visual": visual.eval()})
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        (last,) = visual.trunk.forward_intermediates(
            images, indices=1, norm=name == "test_vit", output_fmt="NCHW", intermediates_only=True
        )
        seen = towers.image_forward(cast(Any, model), images)
        if name.startswith("swin"):  # timm leaves the norm to the head of these two
            last = visual.trunk.norm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(seen.grid, last.flatten(2).transpose(1, 2))
        torch.testing.assert_close(seen.features, visual(images))


def test_a_checkpoint_is_loaded_without_its_classifier(
    timm_model: nn.Module, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    changed = {k: v + 1 if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(changed, tmp_path / "trunk.safetensors")
    towers.load_trunk(timm_model, tmp_path / "trunk.safetensors")
    loaded = cast(Any, timm_model).visual.trunk.state_dict()
    assert set(loaded) == set(tensors) - set(classifier())
    assert all(torch.equal(loaded[name], changed[name]) for name in loaded)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_a_classifier_is_left_out_whatever_the_architecture_calls_it(
    timm_checkpoint: Callable[[str], Path], name: str
) -> None:
    trunk = timm.create_model(name, pretrained=False, num_classes=0)
    towers.load_timm(trunk, timm_checkpoint(name))
    published = load_file(timm_checkpoint(name))
    assert 0 < len(set(published) - set(trunk.state_dict())) <= 2
    assert all(torch.equal(t, published[k]) for k, t in trunk.state_dict().items())


def test_a_file_that_is_no_safetensors_is_refused(timm_model: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "trunk.safetensors").write_text("<html>not found</html>")
    with pytest.raises(ModelFolderError, match=r"trunk\.safetensors is no safetensors file"):
        towers.load_trunk(timm_model, tmp_path / "trunk.safetensors")


@pytest.mark.parametrize(
    "config",
    [RESNET, TIMM, ClipConfig(image_tower="vit", image_width=32, image_layers=2, **SMALL)],
    ids=["resnet", "timm", "vit"],
)
def test_the_grid_alone_is_the_grid_of_the_whole_pass(config: ClipConfig) -> None:
    model, images = towers.build_model(config, 10).eval(), torch.randn(2, 3, 32, 32)
    assert torch.equal(towers.grid_forward(model, images), towers.image_forward(model, images).grid)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(
    timm_model: nn.Module, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    partial = {k: v for k, v in tensors.items() if not k.startswith("conv_stem")}
    save_file(partial, tmp_path / "trunk.safetensors")
    with pytest.raises(ModelFolderError, match=r"(?s)does not fit the trunk.*conv_stem"):
        towers.load_trunk(timm_model, tmp_path / "trunk.safetensors")


@pytest.mark.parametrize("projection", [nn.Linear(4, 3, bias=False), torch.randn(4, 3)])
def test_a_projection_is_a_layer_or_a_matrix(projection: nn.Linear | Tensor) -> None:
    pooled = torch.randn(2, 4)
    tower = type("Tower", (), {"text_projection": projection})
    matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
    torch.testing.assert_close(towers.project_text(tower, pooled), pooled @ matrix)


def test_without_projection_the_feature_is_the_pooled_one() -> None:
    pooled = torch.randn(2, 4)
    tower = type("Tower", (), {"text_projection": None})
    assert towers.project_text(tower, pooled) is pooled


@pytest.fixture
def text_tower(open_clip_models: dict[str, SimpleNamespace]) -> Callable[[str], Any]:
    """The text tower of a tiny architecture."""

    def tower(name: str) -> Any:
        own = open_clip_models[name]
        return towers.text_tower(resolve(name, {}, own.checkpoint).build()).eval()

    return tower


@pytest.mark.parametrize(
    ("name", "reads"), [("tiny-vit", True), ("tiny-coca", False), ("tiny-roberta", False)]
)
def test_a_class_token_and_a_mean_are_not_read_at_the_eos(
    name: str, reads: bool, text_tower: Callable[[str], Any]
) -> None:
    assert towers.reads_to_eos(text_tower(name)) is reads


def test_only_what_a_hugging_face_tower_masks_is_cut_off(text_tower: Callable[[str], Any]) -> None:
    pad = 1
    tokens = torch.tensor([[0, 5, 2, pad, pad], [0, 2, pad, 6, pad]])
    theirs, own = text_tower("tiny-roberta"), text_tower("tiny-coca")
    assert torch.equal(towers.without_padding(theirs, tokens), tokens[:, :4])
    assert towers.without_padding(theirs, tokens[:0]).shape == (0, 5)
    assert towers.without_padding(own, tokens) is tokens


@torch.no_grad()
@pytest.mark.parametrize("length", [2, 9, 18, 19, 20])
def test_a_class_token_sees_what_open_clip_lets_it_see(
    length: int, text_tower: Callable[[str], Any]
) -> None:
    """Words may have the id of the padding, and texts of all lengths share a batch."""
    tower, generator = text_tower("tiny-coca"), torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 3, (4, 20), generator=generator) * 7
    tokens[:, length:] = 0
    tokens[0, 1:] = 0
    expected, _ = tower(tokens)
    found = towers.project_text(tower, towers.pooled_text(tower, tokens))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
