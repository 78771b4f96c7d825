"""An image tower of a captioner's own: any timm CNN or ViT, or a copy of the encoder's.

Weights come from a timm state dict that the user names, from the encoder's folder, or, of a tower
that is trained here, from training alone; nothing is downloaded. A frozen tower is a constant: no
gradient, eval mode whatever mode its captioner is in. Random weights that stand in for given ones
(`write_random_timm`) are marked, and so is what is made of them, as `pretrained` does.

Why a trained tower with given weights keeps its BatchNorm statistics too: a few dozen captioned
images estimate them worse than what they were trained on. A tower from scratch has none to keep and
learns them in maximum likelihood, of each part of a batch where it is taken in parts, and as the
processes' mean where there are several. Self-critical training runs in eval mode, and changes no
statistics in either case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
import timm

from finecap.config import ClipConfig
from finecap.data.tokenizer import SPECIALS
from finecap.data.transforms import CLIP_RESIZING
from finecap.models import towers
from finecap.models.architectures import Architecture
from finecap.models.clip import PIXELS_AT_ONCE, load_encoder
from finecap.models.folder import ModelFolderError, has_random_weights, write_random_weights

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class ImageTower:
    """What a tower is, as saved beside its weights: all that its architecture is rebuilt from."""

    timm_model: str | None  # a timm architecture by name,
    clip: Mapping[str, Any] | None  # or settings and architecture of the encoder it is a copy of
    image_size: int  # pixels
    mean: tuple[float, ...]  # of RGB in [0, 1]
    std: tuple[float, ...]
    trainable: bool
    learns_statistics: bool  # BatchNorm's, in training mode

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> Self:
        """The tower that `asdict` and JSON made `saved` of.

        Raises:
            ModelFolderError: it has other fields.
        """
        if set(saved) != set(cls.__dataclass_fields__):
            raise _of_another_version(f"its fields are {', '.join(sorted(saved))}")
        values = {**saved, "mean": tuple(saved["mean"]), "std": tuple(saved["std"])}
        return cls(**cast("dict[str, Any]", values))


class ImageEncoder(nn.Module):
    """Pixel values to grid cells.

    Args:
        tower: what it is.
        visual: an open_clip image tower, or a timm model as its `trunk`.

    Attributes:
        is_random: whether its weights began as a stand-in that nobody trained.
    """

    def __init__(self, tower: ImageTower, visual: nn.Module) -> None:
        super().__init__()
        self.tower, self.visual = tower, visual.requires_grad_(tower.trainable)
        self.is_random = False
        self.channels = towers.grid_channels(self, tower.image_size)  # C
        for name, values in (("mean", tower.mean), ("std", tower.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_timm(
        cls, name: str, checkpoint: Path | None, *, image_size: int, trainable: bool
    ) -> Self:
        """A timm model of that name, without its classifier.

        Args:
            name: of the architecture.
            checkpoint: safetensors file of its state dict; None: random weights, to be trained.
            image_size: pixels of the images it reads; 0: as many as it was made for.
            trainable: whether it learns with the captioner.

        Raises:
            ValueError: no such architecture, none of that size, or random weights kept frozen.
            ModelFolderError: the checkpoint is missing, foreign, or of another architecture.
        """
        if checkpoint is None and not trainable:
            raise ValueError(
                f"image encoder {name}: expected `timm_checkpoint`, a safetensors file of its "
                "weights (random ones see nothing), or `image_trainable: true`, which trains it "
                "from scratch"
            )
        trunk = _new_trunk(name)
        if checkpoint is not None:
            towers.load_timm(trunk, checkpoint)
        made_for = cast(Any, trunk).pretrained_cfg
        size = image_size or made_for["input_size"][-1]
        tower = ImageTower(
            timm_model=name,
            clip=None,
            image_size=size,
            mean=tuple(made_for["mean"]),
            std=tuple(made_for["std"]),
            trainable=trainable,
            learns_statistics=trainable and checkpoint is None,
        )
        encoder = cls(tower, _Trunk(_resized(trunk, size)))
        encoder.is_random = checkpoint is not None and has_random_weights(checkpoint)
        return encoder

    @classmethod
    def from_clip(cls, folder: Path, *, trainable: bool) -> Self:
        """A copy of the image tower of the encoder in `folder`, whose grids are the cached ones.

        Raises:
            ValueError: the encoder does not see an image's centre square, as captioners do.
        """
        source = load_encoder(folder)
        if source.resizing != CLIP_RESIZING:
            raise ValueError(
                f"{folder}: the encoder resizes images by {source.resizing}, captioners that read "
                f"images by {CLIP_RESIZING}; use `image_encoder: cached`, or `timm`"
            )
        architecture = source.architecture
        tower = ImageTower(
            timm_model=None,
            clip={
                "settings": source.config.model_dump(mode="json"),
                "architecture": architecture and architecture.model_dump(mode="json"),
            },
            image_size=source.config.image_size,
            mean=source.preprocessing.mean,
            std=source.preprocessing.std,
            trainable=trainable,
            learns_statistics=False,
        )
        encoder = cls(tower, cast(Any, source.model).visual)
        encoder.is_random = source.is_random
        return encoder

    @classmethod
    def rebuilt(cls, saved: Mapping[str, Any]) -> Self:
        """The encoder whose `tower` was `saved`; its weights are yet to be loaded."""
        tower = ImageTower.of(saved)
        if tower.timm_model is not None:
            return cls(tower, _Trunk(_resized(_new_trunk(tower.timm_model), tower.image_size)))
        return cls(tower, cast(Any, _clip_model(tower)).visual)

    def train(self, mode: bool = True) -> Self:
        """Training mode of what learns: a frozen tower, and statistics that are kept, stay out."""
        super().train(mode and self.tower.trainable)
        if not self.tower.learns_statistics:
            for module in self.modules():
                if isinstance(module, _BATCH_NORMS):
                    module.eval()
        return self

    def learnt_statistics(self) -> list[Tensor]:
        """Means and variances of BatchNorm that learn in training mode."""
        if not self.tower.learns_statistics:
            return []
        return [
            b for name, b in self.named_buffers() if name.endswith(("running_mean", "running_var"))
        ]

    def pixel_values(self, pixels: np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3) -> normalised float (B, 3, H, W), on its device."""
        size = self.tower.image_size
        if pixels.shape[1:] != (size, size, 3):
            raise ValueError(f"pixels: expected (B, {size}, {size}, 3), came {pixels.shape}")
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        values = torch.tensor(pixels, device=mean.device).permute(0, 3, 1, 2).float() / 255
        return (values - mean) / std

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Grid cells (B, P, C) of (B, 3, H, W), with gradient where the tower learns."""
        with torch.set_grad_enabled(self.tower.trainable and torch.is_grad_enabled()):
            parts = pixel_values.split(self._images_at_once(pixel_values))
            return torch.cat([towers.grid_forward(self, part) for part in parts])

    def _images_at_once(self, pixel_values: Tensor) -> int:
        """All B, but on a CPU without gradient as many as stay in its cache."""
        if torch.is_grad_enabled() or pixel_values.is_cuda:
            return max(1, len(pixel_values))
        return max(1, PIXELS_AT_ONCE // self.tower.image_size**2)


class _Trunk(nn.Module):
    """A timm model where `towers` looks for one."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk


def _clip_model(tower: ImageTower) -> nn.Module:
    """An open_clip model with the tower, and with a text tower that is as small as can be."""
    saved = tower.clip or {}
    try:
        if not saved["architecture"]:
            return towers.build_model(ClipConfig.model_validate(saved["settings"]), len(SPECIALS))
        architecture = Architecture.model_validate(saved["architecture"])
        text = {"width": 8, "heads": 1, "layers": 1, "vocab_size": len(SPECIALS)}
        small = {**architecture.open_clip, "text_cfg": text}
        return architecture.model_copy(update={"open_clip": small, "hugging_face": None}).build()
    except ValidationError as error:
        first = error.errors()[0]
        raise _of_another_version(f"{first['loc'][0]}: {first['msg']}") from error


def _of_another_version(why: str) -> ModelFolderError:
    """The error of a tower saved by other code."""
    return ModelFolderError(
        f"image tower written by another version of finecap ({why}); train the captioner again"
    )


def write_random_timm(name: str, checkpoint: Path, seed: int = 0) -> None:
    """Write random weights of a timm model's names and shapes, marked as random.

    Args:
        name: timm's, as `resnet50_clip`.
        checkpoint: a `.safetensors` file to write.
        seed: of the weights.

    Raises:
        ValueError: there is no such architecture.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = _new_trunk(name)
    tensors = {key: tensor.contiguous() for key, tensor in trunk.state_dict().items()}
    write_random_weights(checkpoint, tensors)


def _new_trunk(name: str) -> nn.Module:
    """A timm model with random weights and no classifier."""
    if not timm.is_model(name):
        raise ValueError(f"`timm_model` {name!r}: timm {timm.__version__} has no such architecture")
    return timm.create_model(name, pretrained=False, num_classes=0)


def _resized(trunk: nn.Module, size: int) -> nn.Module:
    """The trunk for images of `size`: a ViT's positions are interpolated, a CNN takes any."""
    made_for = cast(Any, trunk).pretrained_cfg
    if made_for["input_size"][-1] == size:
        return trunk
    if hasattr(trunk, "set_input_size"):
        cast(Any, trunk).set_input_size(img_size=size)
    elif made_for["fixed_input_size"]:
        raise ValueError(
            f"`image_size` {size}: {made_for['architecture']} reads images of "
            f"{made_for['input_size'][-1]} px alone"
        )
    return trunk
