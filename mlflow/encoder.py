"""A registered encoder as code: sentences in, unit vectors out.

Read by MLflow when a version is logged and when it is loaded. Texts come as a string, a list, or
the first column of a table. The prompt the encoder was trained with is put before each.
"""

from pathlib import Path

from mlflow.pyfunc import PythonModel, PythonModelContext

import mlflow


class Encoder(PythonModel):
    """A contrastive encoder, loaded from the folder stored with the version."""

    _skip_type_hint_validation = True  # a string, a list or a table: no one hint says so

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network; a damaged folder is refused by name."""
        from finecap.models.clip import load_encoder

        self.model = load_encoder(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        """Unit vectors (N, D) of the texts, in order."""
        if hasattr(model_input, "iloc"):
            model_input = model_input.iloc[:, 0]
        is_one = isinstance(model_input, str)
        texts = [model_input] if is_one else [str(text) for text in model_input]
        return self.model.encode_texts(texts).detach().cpu().numpy()


mlflow.models.set_model(Encoder())
