"""Reading a transformers model from a folder or the hub: whole, quietly, or not at all.

A model is `config.json`, weights, its tokenizer's and its image processor's files. transformers
fills what a file lacks with random weights and says so in a log line; here that is an error that
names what lacks. What stays out: what the model does (`huggingface`, `huggingface_decoders`).
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from finecap.models.folder import ModelFolderError, reason
from finecap.models.huggingface_decoders import DECODERS

_FILES = (
    "config.json, model.safetensors, tokenizer.json (or what its tokenizer has) and "
    "preprocessor_config.json"
)
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, SafetensorError, StrictDataclassError)
"""What transformers raises on files that are missing, of another kind, or damaged."""

_OF_NO_USE = {
    "missing": re.compile(r"encoder\.pooler\."),
    "unexpected": re.compile(r".*\.masked_bias"),
}
"""Tensors that may differ, for no caption reads them: the pooled image feature, which TrOCR is
published without, and a constant that GPT-2 was once saved with."""


@dataclass(frozen=True)
class PretrainedFiles:
    """What a model folder holds, in memory."""

    source: str
    model: PreTrainedModel
    tokenizer: Any
    image_processor: Any

    def save(self, folder: Path) -> None:
        """Write them into `folder` as transformers does, so that it reads them too."""
        with quiet():
            for part in (self.model, self.tokenizer, self.image_processor):
                part.save_pretrained(folder)


def read_files(pretrained: str) -> PretrainedFiles:
    """The model in the local folder `pretrained`, or of that name on the hub.

    Raises:
        ModelFolderError: there is no such model, a part of it is missing, broken or of another
            kind, or weights lack a tensor or have one too many; names it.
    """
    config = _read("config.json", AutoConfig, pretrained)
    if config.model_type not in DECODERS:
        raise ModelFolderError(
            f"{pretrained}: a model of type {config.model_type!r}, expected one of "
            f"{', '.join(DECODERS)}"
        )
    # Weights kept in half precision are trained in single: AdamW's steps vanish in half.
    options = {"dtype": torch.float32, "output_loading_info": True}
    model, report = _read("weights", DECODERS[config.model_type].kind, pretrained, **options)
    _refuse_other_weights(pretrained, report)
    tokenizer = _read("tokenizer", AutoTokenizer, pretrained)
    image_processor = _read("image processor", AutoImageProcessor, pretrained)
    return PretrainedFiles(pretrained, model, tokenizer, image_processor)


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars and no log lines of transformers inside."""
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def _is_local(pretrained: str) -> bool:
    """Whether it is a folder here; if not, it must at least look like a name on the hub."""
    if Path(pretrained).is_dir():
        return True
    if pretrained.startswith((".", "/", "~")) or pretrained.count("/") > 1:
        raise ModelFolderError(
            f"pretrained model {pretrained}: there is no such folder; expected one with {_FILES}"
        )
    return False


def _read(part: str, kind: Any, pretrained: str, **options: Any) -> Any:
    """One part of a model, or an error that says where it was looked for and what was expected."""
    try:
        with quiet():
            return kind.from_pretrained(
                pretrained, local_files_only=_is_local(pretrained), **options
            )
    except _BROKEN as error:
        remedy = f"expected {_FILES} there"
        if not Path(pretrained).is_dir():
            remedy = (
                f"there is no folder {Path(pretrained).resolve()} and it did not come from the "
                f"hub; without network, put {_FILES} into that folder"
            )
        raise ModelFolderError(
            f"pretrained model {pretrained}: cannot read its {part} ({reason(error)}); {remedy}"
        ) from error


def _refuse_other_weights(pretrained: str, report: dict[str, Any]) -> None:
    """Raise if the weights read are not the model's own, tensor by tensor."""
    for what, of_no_use in _OF_NO_USE.items():
        names = sorted(name for name in report[f"{what}_keys"] if not of_no_use.match(name))
        if names:
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
            raise ModelFolderError(
                f"pretrained model {pretrained}: its weights have {what} tensors {shown}; random "
                "weights are never used: save the whole model again with `save_pretrained`"
            )
