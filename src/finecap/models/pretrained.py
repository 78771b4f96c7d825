"""Weights of open_clip's architectures, from a tag or a local file, into an encoder of ours.

Nothing is loaded by halves: names and shapes must fit on both sides, and where a tag cannot be
downloaded the error says both ways out: a machine with network, or which file to fetch and where to
name it. A file of random weights (`write_random`), which stands in where a pipeline is tried out
without a download, is marked as one; so is every encoder made of it, and no run hides it.
"""

import pickle
import re
from pathlib import Path
from typing import Any, cast

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.factory import load_state_dict
from open_clip.model import CustomTextCLIP, convert_to_custom_text_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn

from finecap.config import ClipConfig
from finecap.log import Log
from finecap.models.architectures import DESCRIPTION, registered, resolve
from finecap.models.clip import ClipEncoder
from finecap.models.folder import (
    ModelFolderError,
    has_random_weights,
    reason,
    write_random_weights,
)
from finecap.models.text_tokenizers import tokenizer_of

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load_pretrained(config: ClipConfig, log: Log) -> ClipEncoder:
    """The encoder that `config.architecture` and `config.pretrained` name, in eval mode.

    Its `config` has the architecture's sizes in place of the tower fields.

    Raises:
        ModelFolderError: no such architecture, tag or file, or weights that do not fit it.
    """
    if config.architecture is None or config.pretrained is None:
        raise ValueError("a pretrained encoder needs `architecture` and `pretrained`")
    name = config.architecture
    registered(name)
    tag = open_clip.get_pretrained_cfg(name, config.pretrained)
    checkpoint = _download(name, config.pretrained, tag) if tag else Path(config.pretrained)
    _refuse_missing(name, checkpoint)
    architecture = resolve(name, tag, checkpoint, config.tokenizer)
    tokenizer = tokenizer_of(architecture, config.tokenizer)
    settled = config.model_copy(update=architecture.sizes)
    encoder = ClipEncoder(settled, tokenizer, architecture)
    load_weights(encoder.model, checkpoint)
    encoder.is_random = has_random_weights(checkpoint)
    log(_summary(name, config.pretrained, architecture.open_clip["quick_gelu"], checkpoint))
    if encoder.is_random:
        log(f"RANDOM WEIGHTS in {checkpoint}: what is made with them tells nothing of {name}")
    return encoder.eval()


def write_random(name: str, checkpoint: Path, seed: int = 0) -> None:
    """Write random weights of an architecture's names and shapes, in fp16, marked as random.

    Args:
        name: open_clip's, as `ViT-B-32-quickgelu`.
        checkpoint: a `.safetensors` file to write.
        seed: of the weights.

    Raises:
        ModelFolderError: there is no such architecture.
    """
    registered(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(name, pretrained_text=False)
    tensors = {key: tensor.half().contiguous() for key, tensor in model.state_dict().items()}
    write_random_weights(checkpoint, tensors)


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Load an open_clip checkpoint into `model`, every tensor accounted for on both sides.

    Raises:
        ModelFolderError: not a state dict, or names and shapes that do not fit.
    """
    try:
        tensors = load_state_dict(str(checkpoint), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ModelFolderError(
            f"checkpoint {checkpoint} is no state dict ({reason(error)}); a .pt that "
            "OpenAI published is a TorchScript archive: take the .safetensors of the same model"
        ) from error
    try:
        model.load_state_dict(_as_custom_text(model, cast("dict[str, Any]", tensors)))
    except RuntimeError as error:
        wrong = f"checkpoint {checkpoint} is of another architecture: {error}"
        raise ModelFolderError(wrong) from error


def _as_custom_text(model: nn.Module, tensors: dict[str, Any]) -> dict[str, Any]:
    """Names as open_clip's `CustomTextCLIP` has them, whoever published the checkpoint."""
    tensors = convert_state_dict(cast(CustomTextCLIP, model), tensors)
    if "positional_embedding" in tensors:  # the text tower lies at the top level
        tensors = convert_to_custom_text_state_dict(tensors)
    # CoCa's third tower is left out; transformers no longer keeps places among weights.
    unread = re.compile(r"text_decoder\.|text\.transformer\.embeddings\.position_ids")
    tensors = {name: tensor for name, tensor in tensors.items() if not unread.match(name)}
    for name in ("logit_scale", "logit_bias"):
        if isinstance(tensors.get(name), Tensor):
            tensors[name] = tensors[name].reshape(())  # some are (1,)
    return tensors


def _download(name: str, tag: str, source: dict[str, Any]) -> Path:
    """The file of a tag, from open_clip's cache or the network."""
    try:
        return Path(open_clip.download_pretrained(source))
    except OSError as error:  # of no network, no such file, no room
        repository = str(source.get("hf_hub", "")).strip("/")
        fetch = (
            f"open_clip_model.safetensors and {DESCRIPTION} from "
            f"https://huggingface.co/{repository}"
            if repository
            else f"{source.get('url')}"
        )
        raise ModelFolderError(
            f"tag {tag!r} of {name} could not be downloaded ({reason(error)}). Run where the hub "
            "can be reached, whose files are then kept in its cache; or fetch "
            f"{fetch} where there is network, put them into one folder here, and set `pretrained` "
            "to the path of the weights (for a pipeline: `make run CLIP_CHECKPOINT=FILE`, of the "
            "judge JUDGE_CHECKPOINT)"
        ) from error


def _refuse_missing(name: str, checkpoint: Path) -> None:
    """Refuse a path that is no file of weights."""
    if not checkpoint.is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ModelFolderError(
            f"`pretrained` is {str(checkpoint)!r}: neither a file nor a tag of {name} ({tags}); "
            "random weights are never used in its place"
        )
    if checkpoint.suffix not in _SUFFIXES:
        raise ModelFolderError(f"checkpoint {checkpoint}: expected one of {', '.join(_SUFFIXES)}")


def _summary(name: str, pretrained: str, quick_gelu: bool, checkpoint: Path) -> str:
    """One line of progress; names the activation, which no checkpoint holds and a file may lack."""
    activation = "QuickGELU" if quick_gelu else "GELU"
    return f"{name} from {pretrained} ({checkpoint.name}), activation {activation}"
