"""open_clip's architectures by name, with all that decides what their towers compute.

Resolved once, from open_clip's registry, from what it knows of a tag, and from the description that
hubs put beside a checkpoint; then saved with the model, so that a saved encoder needs no registry.
Weights are the business of `pretrained`, towers of our own shape that of `towers`.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
import open_clip
from open_clip.constants import (
    INCEPTION_MEAN,
    INCEPTION_STD,
    OPENAI_DATASET_MEAN,
    OPENAI_DATASET_STD,
)
from open_clip.model import CustomTextCLIP
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from finecap.data.transforms import Resizing
from finecap.models.folder import ModelFolderError

DESCRIPTION = "open_clip_config.json"
"""What hubs put beside an open_clip checkpoint: its model and preprocess config."""


class Preprocessing(BaseModel):
    """How the image tower wants its pixels; names as in open_clip's preprocess config."""

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, float, float] = OPENAI_DATASET_MEAN
    std: tuple[float, float, float] = OPENAI_DATASET_STD
    resize_mode: Literal["shortest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    @property
    def resizing(self) -> Resizing:
        """How an image becomes a square."""
        return Resizing(self.resize_mode, self.interpolation)


SIGLIP = Preprocessing(mean=INCEPTION_MEAN, std=INCEPTION_STD, resize_mode="squash")


class Architecture(BaseModel):
    """One architecture, resolved.

    Attributes:
        name: as open_clip's registry has it.
        open_clip: open_clip's own model config.
        preprocessing: of images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    open_clip: dict[str, Any]
    preprocessing: Preprocessing

    @property
    def text(self) -> dict[str, Any]:
        """open_clip's config of the text tower."""
        return self.open_clip["text_cfg"]

    @property
    def sizes(self) -> dict[str, int]:
        """The fields of `ClipConfig` that this architecture settles."""
        defaults = open_clip.CLIPTextCfg()
        return {
            "embed_dim": self.open_clip["embed_dim"],
            "image_size": self.open_clip["vision_cfg"].get("image_size", 224),
            "text_width": self.text.get("width", defaults.width),
            "context_length": self.text.get("context_length", defaults.context_length),
        }

    @property
    def vocabulary_size(self) -> int:
        """V of the text tower."""
        return self.text.get("vocab_size", open_clip.CLIPTextCfg().vocab_size)

    def build(self) -> nn.Module:
        """The open_clip model; weights are random until loaded."""
        config = {k: v for k, v in self.open_clip.items() if k != "custom_text"}
        # The trunk's own weights would be downloaded, only to be overwritten.
        config["vision_cfg"] = {**config["vision_cfg"], "timm_model_pretrained": False}
        return CustomTextCLIP(**config)


def resolve(name: str, tag: Mapping[str, Any], checkpoint: Path) -> Architecture:
    """The architecture `name` as the weights in `checkpoint` need it.

    Of a tag open_clip knows what it needs (`tag`): OpenAI's ViT-B-32 has another activation than
    the architecture of that name. A file (`tag` is empty) is told by the description beside it.

    Raises:
        ModelFolderError: an unknown name, a kind that is not supported, or a file of which nobody
            says how its images are normalised.
    """
    described = {} if tag else _description(checkpoint)
    config = described.get("model_cfg") or registered(name)
    _refuse_unsupported(name, config)
    quick_gelu = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    told: Mapping[str, Any] | None = tag or described.get("preprocess_cfg")
    try:
        preprocessing = (
            Preprocessing.model_validate(told) if told else _preprocessing_of(name, config)
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ModelFolderError(
            f"{checkpoint}: preprocessing of {name} is not supported: {wrong['loc'][0]} is "
            f"{wrong['input']!r} ({wrong['msg']})"
        ) from error
    return Architecture(
        name=name, open_clip={**config, "quick_gelu": quick_gelu}, preprocessing=preprocessing
    )


def registered(name: str) -> dict[str, Any]:
    """open_clip's config of that name.

    Raises:
        ModelFolderError: there is none; names those most alike.
    """
    known = open_clip.list_models()
    if name not in known:
        alike = difflib.get_close_matches(name, known, n=4) or known[:4]
        raise ModelFolderError(
            f"open_clip has no architecture {name!r}; the most alike of {len(known)}: "
            f"{', '.join(alike)}"
        )
    return cast("dict[str, Any]", open_clip.get_model_config(name))


def _description(checkpoint: Path) -> dict[str, Any]:
    """What lies beside a checkpoint to describe it, or nothing."""
    path = checkpoint.parent / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, ValueError, TypeError) as error:
        raise ModelFolderError(f"{path}: not a JSON object ({error}); fetch it again") from error


def _refuse_unsupported(name: str, config: Mapping[str, Any]) -> None:
    """Refuse towers that are not a text tower of open_clip's own beside a square image tower."""
    if "multimodal_cfg" in config:
        raise ModelFolderError(
            f"{name} is a CoCa model, which has a third tower; choose a CLIP or SigLIP one"
        )
    if "hf_model_name" in config["text_cfg"]:
        raise ModelFolderError(
            f"{name} has a Hugging Face text tower ({config['text_cfg']['hf_model_name']}), "
            "expected one of open_clip's own; choose another architecture"
        )
    size = config["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int):
        raise ModelFolderError(f"{name} reads images of {size} px, expected squares")


def _preprocessing_of(name: str, config: Mapping[str, Any]) -> Preprocessing:
    """Preprocessing of a checkpoint that came alone: what all tags of its architecture agree on."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    sources = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
    known = [Preprocessing.model_validate(source) for source in sources]
    if any(other != known[0] for other in known):
        raise ModelFolderError(
            f"tags of {name} differ in how images are normalised or resized; put the "
            f"{DESCRIPTION} of your checkpoint beside it (its hub repository has one)"
        )
    if known:
        return known[0]
    return SIGLIP if "init_logit_bias" in config else Preprocessing()
