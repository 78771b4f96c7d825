"""The registered captioner as code: images in, one caption each out.

Read by MLflow when a version is logged and when it is loaded. An image may come as a path, as
bytes or as an array of shape (H, W, 3); alone, in a list, or in the first column of a table. In
JSON, bytes travel as a data URI (`data:image/png;base64,...`).
"""

import base64
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PythonModel, PythonModelContext

import mlflow

BATCH_RANK = 4  # (B, H, W, 3): an array of that rank is several images


class Captioner(PythonModel):
    """A captioner and its image encoder, loaded from the folder stored with the version."""

    _skip_type_hint_validation = True  # a path, bytes or an array: no one hint says so

    def load_context(self, context: PythonModelContext) -> None:
        """Load both networks; a damaged folder is refused by name."""
        from finecap.models.export import load_pair

        self.model = load_pair(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        """Captions of the images, in order."""
        return self.model.caption_images([_image(item) for item in _items(model_input)])


def _items(model_input: Any) -> list[Any]:
    """The images, whatever they came in."""
    if hasattr(model_input, "iloc"):
        return list(model_input.iloc[:, 0])
    if hasattr(model_input, "shape"):
        return list(model_input) if len(model_input.shape) == BATCH_RANK else [model_input]
    return [model_input] if isinstance(model_input, str | bytes | Path) else list(model_input)


def _image(item: Any) -> Any:
    """A path, bytes or array, as the encoder takes it."""
    if not isinstance(item, str):
        return item
    head, comma, body = item.partition(";base64,")
    return base64.b64decode(body) if head.startswith("data:") and comma else Path(item)


mlflow.models.set_model(Captioner())
