"""A registered encoder as code: texts and images in, unit vectors out.

Read by MLflow when a version is logged and when it is loaded. Rows `{"text": ...}` or
`{"image": ...}`, or columns of those names; bare text is text. An image is what `captioner.py`
takes for one. The prompt the encoder was trained with is put before each text.
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


class Encoder(PythonModel):
    """A contrastive encoder, loaded from the folder stored with the version."""

    _skip_type_hint_validation = True  # what is sent is checked by the library

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network; a damaged folder is refused by name."""
        from finecap.data.sent_images import open_folder
        from finecap.models.serving import ServedEncoder

        self.folder = open_folder(os.environ.get("FINECAP_IMAGE_FOLDER"))
        self.served = ServedEncoder(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        """Unit vectors (N, D) of texts and images, in order."""
        from finecap.data.sent_images import Intake
        from finecap.models.serving import RequestError

        is_own = self.folder is None and not any(name in os.environ for name in SERVED)
        intake = Intake(self.folder, is_trusted=is_own)
        try:
            return self.served.vectors(model_input, intake)
        except RequestError as error:
            raise Refused(error) from error


mlflow.models.set_model(Encoder())
