"""What is registered of a model: files, the code that serves them, and what that code needs."""

from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

EXPORT = "exported"
"""Folder of a registered version that holds the model's files."""
_REQUIREMENTS = ("torch", "open_clip_torch", "timm", "safetensors", "numpy", "pillow", "pandas")


@dataclass(frozen=True)
class Model:
    """How a stage's result is registered."""

    name: str  # finecap-clip, finecap-captioner, ...
    variant: str
    code: Path  # models-from-code wrapper
    signature: "ModelSignature"


def model_of(name: str, variant: str, kind: str, root: Path) -> Model:
    """A model served by `mlflow/<kind>.py`: `captioner` gives sentences, `encoder` vectors.

    The signature names outputs alone: an image may come as a path, as bytes or as an array, alone
    or in a list or table, and MLflow's schemas cannot say so.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    outputs = {"captioner": ColSpec("string"), "encoder": ColSpec("double")}
    signature = ModelSignature(outputs=Schema([outputs[kind]]))
    return Model(name, variant, root / "mlflow" / f"{kind}.py", signature)


def requirements() -> list[str]:
    """What serving a model needs, at the versions installed here (a `+cpu` build tag dropped)."""
    pins = [f"{name}=={installed(name).split('+')[0]}" for name in _REQUIREMENTS]
    return [f"finecap=={installed('finecap')}", *pins]
