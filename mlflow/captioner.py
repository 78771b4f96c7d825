"""The registered captioner as code: images in, one caption each out.

Read by MLflow when a version is logged and when it is loaded. An image is base64, a data URL or a
path as text; from Python also bytes, a `Path`, an array (H, W, 3) or a Pillow image. They come
bare, as rows `{"image": ...}`, or as a column `image`. A server reads paths inside the folder that
`FINECAP_IMAGE_FOLDER` names, and without it none.
"""

import json
import os
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

import mlflow

SERVED = ("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "__pyfunc_model_path__")
"""What MLflow's server sets: whoever asks is then somebody else."""


class Refused(MlflowException):
    """An answer with HTTP status 400; without the request, which MLflow would repeat in it."""

    def __init__(self, reason):
        super().__init__(str(reason), INVALID_PARAMETER_VALUE)
        self.reason = str(reason)

    def serialize_as_json(self):
        """What is sent."""
        return json.dumps({"error_code": self.error_code, "message": self.reason})


class Captioner(PythonModel):
    """A captioner and its image encoder, loaded from the folder stored with the version."""

    _skip_type_hint_validation = True  # what is sent is checked by the library

    def load_context(self, context: PythonModelContext) -> None:
        """Load both networks; a damaged folder is refused by name."""
        from finecap.data.sent_images import open_folder
        from finecap.models.serving import ServedCaptioner

        self.folder = open_folder(os.environ.get("FINECAP_IMAGE_FOLDER"))
        self.served = ServedCaptioner(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        """Captions of the images, in order."""
        from finecap.data.sent_images import Intake
        from finecap.models.serving import RequestError

        is_own = self.folder is None and not any(name in os.environ for name in SERVED)
        intake = Intake(self.folder, is_trusted=is_own)
        try:
            return self.served.captions(model_input, params or {}, intake)
        except RequestError as error:
            raise Refused(error) from error


mlflow.models.set_model(Captioner())
