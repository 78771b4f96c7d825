"""Registered models: stored as files and code (models-from-code), never as pickles.

Registration is idempotent: a model name holds one version per training, which is a data version and
the run that made it, so a retry registers nothing twice. By the data version alone one would take
another home's training for its own, or the one before it was made anew. Which version serves is
`registry`'s.
"""

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*noload.*")  # SQLAlchemy 2.1, of MLflow's mappers
    warnings.filterwarnings("ignore", message=".*AnyType.*")  # MLflow, of its own type hints
    import mlflow.pyfunc
    import mlflow.store.tracking.sqlalchemy_store

    import mlflow
from mlflow.entities.model_registry import ModelVersion

from dagster_project.served import EXPORT, Model, requirements
from dagster_project.tracking_store import EXISTS, TrackingStore
from mlflow import MlflowException

# MLflow's own import would set them back.
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

MAX_VALUE = 5_000
"""Characters of a tag or parameter."""
_CARD = "card"  # tag: digest of the description that we wrote


class ModelStore(TrackingStore):
    """The models of one MLflow."""

    def version(self, name: str, data_version: str, run_id: str | None) -> ModelVersion | None:
        """The registered version of `name` that a run made as `data_version`, if any."""
        if run_id is None:  # it was never registered
            return None
        where = f"name = '{name}' and tags.data_version = '{data_version}' and run_id = '{run_id}'"
        found = self.client.search_model_versions(where)
        return max(found, key=lambda v: int(v.version)) if found else None

    def has_version_of(self, run_id: str) -> bool:
        """Whether what a run made is registered."""
        return bool(self.client.search_model_versions(f"run_id = '{run_id}'", max_results=1))

    def register(
        self, model: Model, run_id: str, folder: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Store `folder`, named `EXPORT`, as a model of the run; the version carries `tags`."""
        with warnings.catch_warnings(), self.fluent(run_id):
            warnings.filterwarnings("ignore", message=".*input example.*")
            logged = mlflow.pyfunc.log_model(
                name=model.variant.replace("/", "-"),
                python_model=str(model.code),
                artifacts={"model": str(folder)},
                signature=model.signature,
                input_example=list(model.example) or None,  # type: ignore[arg-type]
                pip_requirements=requirements(),
            )
        # Inside, too: with a model id MLflow looks the model up in its global store.
        with self.lock(), self.fluent():
            self._name(model.name)
            clipped = {key: value[:MAX_VALUE] for key, value in tags.items()}
            return self.client.create_model_version(
                model.name, logged.model_uri, run_id, tags=clipped, model_id=logged.model_id
            )

    def _name(self, name: str) -> None:
        """Make a registered model, unless it is there, by another home's doing for instance."""
        if self.client.search_registered_models(f"name = '{name}'"):
            return
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != EXISTS:
                raise

    def describe(self, name: str, text: str, version: str | None = None) -> None:
        """Set the description of a model or of its version, unless a person has written one."""
        client = self.client
        entity = (
            client.get_registered_model(name)
            if version is None
            else client.get_model_version(name, version)
        )
        present, digest = entity.description or "", _digest(text)
        if present == text or (present and _digest(present) != entity.tags.get(_CARD)):
            return
        if version is None:
            client.update_registered_model(name, text)
            self.side_by_side(lambda: client.set_registered_model_tag(name, _CARD, digest))
        else:
            client.update_model_version(name, version, text)
            client.set_model_version_tag(name, version, _CARD, digest)

    def tag_version(self, version: ModelVersion, key: str, value: str) -> None:
        """Tag a registered version."""
        self.client.set_model_version_tag(version.name, str(version.version), key, value)

    def download(self, version: ModelVersion, destination: Path) -> None:
        """Copy the folder that a version was registered from to `destination`."""
        uri = f"models:/{version.name}/{version.version}"
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch, self.fluent():
            logged = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
            shutil.move(Path(logged) / "artifacts" / EXPORT, destination)

    def exported_files(self, version: ModelVersion) -> list[str]:
        """Names in the folder that a version was registered from; none where it is gone."""
        with self.fluent():
            uri = f"models:/{version.name}/{version.version}/artifacts/{EXPORT}"
            found = mlflow.artifacts.list_artifacts(artifact_uri=uri)
        return sorted(Path(file.path).name for file in found)


def logged_model(version: ModelVersion) -> str:
    """Id of the model that a version is of; the store keeps it as the version's source alone."""
    return (version.source or "").removeprefix("models:/")


def _digest(text: str) -> str:
    """What tells a description of ours from one that a person has changed."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
