"""A saved model is a folder: `config.json`, `model.safetensors`, and a vocabulary where it has one.

Writing is atomic file by file; reading refuses a missing, truncated or foreign file by its name and
never continues with random weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"


_RANDOM = {"weights": "random"}
"""In the header of a checkpoint that nobody trained."""


class ModelFolderError(ValueError):
    """A model folder or checkpoint that is missing, incomplete or of another kind."""


def reason(error: Exception) -> str:
    """What an error says first, for a message that says the rest."""
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{CONFIG}.partial"
    partial.write_text(json.dumps(config, indent=2, sort_keys=True))
    partial.replace(folder / CONFIG)


def read_config(folder: Path, expected: set[str]) -> dict[str, Any]:
    """The folder's `config.json`, which must have the `expected` keys."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelFolderError(
            f"{folder}: no {CONFIG}; expected a folder that a training stage has written"
        )
    try:
        config = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ModelFolderError(f"{path}: not JSON ({error}); train the model again") from error
    missing = expected - set(config)
    if missing:
        raise ModelFolderError(f"{path}: lacks {', '.join(sorted(missing))}")
    return config


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `model.safetensors`; shared storage is written out once per name."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{WEIGHTS}.partial"
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, partial)
    partial.replace(folder / WEIGHTS)


def write_random_weights(checkpoint: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file that is marked as a stand-in that nobody trained."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_name(f"{checkpoint.name}.partial")
    save_file(dict(tensors), partial, metadata=_RANDOM)
    partial.replace(checkpoint)


def has_random_weights(checkpoint: Path) -> bool:
    """Whether a checkpoint is marked so."""
    if checkpoint.suffix != ".safetensors":
        return False
    with safe_open(checkpoint, "pt") as file:
        return (file.metadata() or {}).items() >= _RANDOM.items()


def read_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into `module`, every tensor accounted for on both sides.

    Raises:
        ModelFolderError: no such file, not safetensors, or names and shapes that do not fit.
    """
    if not path.is_file():
        raise ModelFolderError(f"checkpoint {path} does not exist; random weights are never used")
    try:
        module.load_state_dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"checkpoint {path} is truncated or foreign: {error}") from error
    except RuntimeError as error:
        raise ModelFolderError(f"checkpoint {path} is of another architecture: {error}") from error
