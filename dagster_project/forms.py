"""What a registered model is asked and what it answers, as its MLflow signature says it.

Rows of named columns, so that whoever looks at a version sees what to send, with an example. MLflow
would turn every request into a table of those columns before the model sees it, which a caller in
Python cannot fill with arrays, bytes or paths: for models whose request is described by a type hint
it leaves that to the model, which answers for what it takes. Ours are declared so. The price: over
HTTP a request is `{"inputs": ...}`; MLflow's other spellings (`dataframe_split`, ...) are refused,
with that reason.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from PIL import Image


def _picture() -> str:
    """A small picture as a data URL."""
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"


@dataclass(frozen=True)
class Form:
    """Columns, settings and answer of one kind of model."""

    inputs: Schema
    outputs: Schema
    example: Sequence[Mapping[str, str]]
    settings: Sequence[ParamSpec] = field(default=())


FORMS = {
    "captioner": Form(
        Schema([ColSpec("string", "image")]),
        Schema([ColSpec("string")]),
        [{"image": _picture()}],
        [ParamSpec("beams", "long", 1), ParamSpec("max_tokens", "long", None)],
    ),
    "encoder": Form(
        # A row is an image or a text.
        Schema([ColSpec("string", "image", required=False), ColSpec("string", "text", False)]),
        Schema([TensorSpec(np.dtype(np.float32), (-1, -1))]),
        [{"text": "a red boat"}, {"image": _picture()}],
    ),
}
"""By kind, which is the name of the code in `mlflow/`, too."""


def signature(form: Form) -> ModelSignature:
    """The form as MLflow keeps it."""
    made = ModelSignature(inputs=form.inputs, outputs=form.outputs)
    if form.settings:
        made.params = ParamSchema(list(form.settings))
    made._is_signature_from_type_hint = True  # see the charter
    return made
