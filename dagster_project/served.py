"""What is registered of a model: files, the code that serves them, and what that code needs."""

from collections.abc import Mapping, Sequence
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
    example: Sequence[Mapping[str, str]] = ()  # a request, as the registry shows it


def model_of(name: str, variant: str, kind: str, root: Path) -> Model:
    """A model served by `mlflow/<kind>.py`: `captioner` gives sentences, `encoder` vectors."""
    from dagster_project import forms  # MLflow is slow to import

    form = forms.FORMS[kind]
    return Model(name, variant, root / "mlflow" / f"{kind}.py", forms.signature(form), form.example)


def requirements() -> list[str]:
    """What serving a model needs, at the versions installed here (a `+cpu` build tag dropped)."""
    pins = [f"{name}=={installed(name).split('+')[0]}" for name in _REQUIREMENTS]
    return [f"finecap=={installed('finecap')}", *pins]
