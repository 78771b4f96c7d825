"""open_clip's architectures by name, with all that decides what their towers compute.

Resolved once, from open_clip's registry, from what it knows of a tag, from the description that
hubs put beside a checkpoint, and from the config of a Hugging Face text tower; then saved with the
model, so that a saved encoder needs neither registry nor hub. Of CoCa (Yu et al. 2022) the third
tower, which says captions, is left out: its image and text towers give the contrastive vectors.
Weights are the business of `pretrained`, towers of our own shape that of `towers`.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
import open_clip
from huggingface_hub.errors import StrictDataclassError
from open_clip.constants import (
    INCEPTION_MEAN,
    INCEPTION_STD,
    OPENAI_DATASET_MEAN,
    OPENAI_DATASET_STD,
)
from open_clip.hf_configs import arch_dict
from open_clip.model import CustomTextCLIP
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn
from transformers import AutoConfig

from finecap.data.transforms import Resizing
from finecap.models.folder import CONFIG, ModelFolderError, reason

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
        hugging_face: transformers' config of the text tower, where it is one of theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    open_clip: dict[str, Any]
    preprocessing: Preprocessing
    hugging_face: dict[str, Any] | None = None

    @property
    def text(self) -> dict[str, Any]:
        """open_clip's config of the text tower."""
        return self.open_clip["text_cfg"]

    @property
    def sizes(self) -> dict[str, int]:
        """The fields of `ClipConfig` that this architecture settles."""
        context_length = open_clip.CLIPTextCfg().context_length
        return {
            "embed_dim": self.open_clip["embed_dim"],
            "image_size": self.open_clip["vision_cfg"].get("image_size", 224),
            "text_width": self._text_width,
            "context_length": self.text.get("context_length", context_length),
        }

    @property
    def vocabulary_size(self) -> int:
        """V of the text tower."""
        if self.hugging_face is not None:
            return self.hugging_face["vocab_size"]
        return self.text.get("vocab_size", open_clip.CLIPTextCfg().vocab_size)

    @property
    def _text_width(self) -> int:
        """Of the text feature before projection."""
        if self.hugging_face is not None:
            known = cast("dict[str, Any]", arch_dict[self.hugging_face["model_type"]])
            return self.hugging_face[known["config_names"]["width"]]
        return self.text.get("width", open_clip.CLIPTextCfg().width)

    def build(self) -> nn.Module:
        """The open_clip model; weights are random until loaded."""
        unread = {"custom_text", "multimodal_cfg"}
        config: dict[str, Any] = {k: v for k, v in self.open_clip.items() if k not in unread}
        # The towers' own weights would be downloaded, only to be overwritten.
        config["vision_cfg"] = {**config["vision_cfg"], "timm_model_pretrained": False}
        if self.hugging_face is None:
            return CustomTextCLIP(**config)
        # open_clip builds another tower of a config in memory than of one that it reads.
        with TemporaryDirectory() as folder:
            (Path(folder) / CONFIG).write_text(json.dumps(self.hugging_face))
            here = {"hf_model_name": folder, "hf_model_pretrained": False}
            config["text_cfg"] = {**self.text, **here}
            return CustomTextCLIP(**config)


def resolve(
    name: str, tag: Mapping[str, Any], checkpoint: Path, text_folder: str | None = None
) -> Architecture:
    """The architecture `name` as the weights in `checkpoint` need it.

    Of a tag open_clip knows what it needs (`tag`): OpenAI's ViT-B-32 has another activation than
    the architecture of that name. A file (`tag` is empty) is told by the description beside it.

    Args:
        name: of open_clip's registry.
        tag: what open_clip knows of it.
        checkpoint: its weights.
        text_folder: where the config of a Hugging Face text tower may lie; else it is the hub's.

    Raises:
        ModelFolderError: an unknown name, a kind that is not supported, a text tower without
            config, or a file of which nobody says how its images are normalised.
    """
    described = {} if tag else _description(checkpoint)
    config = described.get("model_cfg") or registered(name)
    _refuse_oblong(name, config)
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
        name=name,
        open_clip={**config, "quick_gelu": quick_gelu},
        preprocessing=preprocessing,
        hugging_face=_hugging_face(name, config["text_cfg"], text_folder),
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


def _refuse_oblong(name: str, config: Mapping[str, Any]) -> None:
    """Refuse an image tower that does not read squares."""
    size = config["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int):
        raise ModelFolderError(f"{name} reads images of {size} px, expected squares")


def _hugging_face(
    name: str, text: Mapping[str, Any], text_folder: str | None
) -> dict[str, Any] | None:
    """Transformers' config of a text tower of theirs; None of one of open_clip's own."""
    if not text.get("hf_model_name"):
        return None
    is_here = text_folder is not None and (Path(text_folder) / CONFIG).is_file()
    source = str(text_folder) if is_here else text["hf_model_name"]
    try:
        found = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, StrictDataclassError) as error:
        raise ModelFolderError(
            f"{name}: the config of its text tower {source} cannot be read ({reason(error)}); put "
            f"{CONFIG} and the tokenizer's files of https://huggingface.co/"
            f"{text['hf_model_name']} into a folder, and set `tokenizer` to it"
        ) from error
    pooler = text.get("hf_pooler_type", "mean_pooler")
    if found.model_type not in arch_dict or pooler == "max_pooler":  # open_clip's fails
        raise ModelFolderError(
            f"{name}: its text tower {source} is of type {found.model_type!r} with {pooler!r}, "
            f"expected one of {', '.join(arch_dict)} with 'mean_pooler' or 'cls_pooler'"
        )
    return json.loads(found.to_json_string(use_diff=False))


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
