"""MLflow, as the stages see it: a run per model under a run per pipeline run, and a registry.

Metrics are buffered and sent in batches of a few seconds, because a commit of the tracking database
costs as much as a training step of a small model. Registration is idempotent: a model name holds
one version per data version, so a retry registers nothing twice. Models are stored as files plus
code (models-from-code), never as pickles. This is the only module that imports mlflow at its top.

A run whose training was broken off is gone on with, so that its charts are whole. It moves below
the pipeline run that goes on with it: there people compare it with the other models of that run,
and the pipeline run that was broken off has nothing to compare. Which those were is a tag.
"""

import fcntl
import json
import logging
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*noload.*")  # SQLAlchemy 2.1, of MLflow's mappers
    warnings.filterwarnings("ignore", message=".*AnyType.*")  # MLflow, of its own type hints
    import mlflow.pyfunc
    import mlflow.store.tracking.sqlalchemy_store

    import mlflow
from mlflow.entities import LifecycleStage, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from dagster_project.home import MODEL_TRAINING
from dagster_project.tracked_run import TrackedRun, points_of
from mlflow import MlflowClient

# Read when it is first needed; a bar per file copied would drown the pipeline's own lines.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

EXPORT = "exported"
"""Folder of a registered version that holds the model's files."""
FINISHED = "FINISHED"
"""Status of a run whose stage has ended well."""
INTERRUPTED = "interrupted_dagster_runs"
"""Tag: pipeline runs in which this training was broken off."""
_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"  # error code of MLflow's
_MAX_VALUE = 5_000  # characters of a tag or parameter
_REQUIREMENTS = ("torch", "open_clip_torch", "timm", "safetensors", "numpy", "pillow", "pandas")


@dataclass(frozen=True)
class Model:
    """How a stage's result is registered."""

    name: str  # finecap-clip, finecap-captioner, ...
    variant: str
    code: Path  # models-from-code wrapper
    signature: ModelSignature


class Tracker:
    """The tracking store of one profile, on behalf of one pipeline run."""

    def __init__(self, folder: Path, experiment: str, pipeline_run: str) -> None:
        """The store in `folder`; nothing is opened or created before it is needed."""
        self.folder = folder
        self.experiment = experiment
        self.pipeline_run = pipeline_run
        self._client: MlflowClient | None = None

    @property
    def uri(self) -> str:
        """The store's address; the time-out lets parallel stages wait for each other's writes."""
        return f"sqlite:///{self.folder / 'mlflow.db'}?timeout=60"

    @property
    def client(self) -> MlflowClient:
        """A client of the store, which is created on first use."""
        if self._client is None:
            with self._lock():
                self._client = MlflowClient(self.uri)
                self._client.search_experiments(max_results=1)
        return self._client

    @contextmanager
    def child(
        self,
        name: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
        continued: str | None = None,
    ) -> Iterator[TrackedRun]:
        """A run named `name` below the pipeline's, finished or failed as its block is.

        Args:
            name: of the run.
            config: its parameters.
            tags: its own; those of the pipeline are added.
            continued: run to go on with; a new one is begun if that is finished, or deleted.
        """
        parent = self._parent()
        all_tags = {
            "mlflow.runName": name,
            "mlflow.parentRunId": parent,
            "mlflow.source.name": "dagster_project",
            "dagster_run_id": self.pipeline_run,
            "git_commit": git_commit(),
            **tags,
        }
        clipped = {key: value[:_MAX_VALUE] for key, value in all_tags.items()}
        run = self._reopened(continued, clipped) or TrackedRun(
            self.client,
            self.client.create_run(self._experiment_id(), tags=clipped).info.run_id,
        )
        self.client.log_batch(run.run_id, params=_params(config))
        try:
            yield run
        except BaseException:
            run.flush()
            self.client.set_terminated(run.run_id, "FAILED")
            raise
        run.flush()
        self.client.set_terminated(run.run_id)

    def version(self, name: str, data_version: str) -> ModelVersion | None:
        """The registered version of `name` that was made as `data_version`, if any."""
        where = f"name = '{name}' and tags.data_version = '{data_version}'"
        found = self.client.search_model_versions(where)
        return max(found, key=lambda v: int(v.version)) if found else None

    def register(
        self, model: Model, run_id: str, folder: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Store `folder`, named `EXPORT`, as a model of the run; the version carries `tags`."""
        with warnings.catch_warnings(), self._fluent(run_id):
            warnings.filterwarnings("ignore", message=".*input example.*")
            logged = mlflow.pyfunc.log_model(
                name=model.variant.replace("/", "-"),
                python_model=str(model.code),
                artifacts={"model": str(folder)},
                signature=model.signature,
                pip_requirements=requirements(),
            )
        # Inside, too: with a model id MLflow looks the model up in its global store.
        with self._lock(), self._fluent():
            if not self.client.search_registered_models(f"name = '{model.name}'"):
                self.client.create_registered_model(model.name)
            clipped = {key: value[:_MAX_VALUE] for key, value in tags.items()}
            return self.client.create_model_version(
                model.name, logged.model_uri, run_id, tags=clipped, model_id=logged.model_id
            )

    def status(self, run_id: str | None) -> str | None:
        """A run's status; None where the store does not have it, or no longer."""
        if run_id is None:
            return None
        try:
            info = self.client.get_run(run_id).info
        except mlflow.MlflowException as error:
            if error.error_code != _UNKNOWN:
                raise
            return None
        return info.status if info.lifecycle_stage == LifecycleStage.ACTIVE else None

    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add scores to a finished run."""
        run = TrackedRun(self.client, run_id)
        run.log(0, metrics)
        run.flush()

    def tag_version(self, version: ModelVersion, key: str, value: str) -> None:
        """Tag a registered version."""
        self.client.set_model_version_tag(version.name, str(version.version), key, value)

    def download(self, version: ModelVersion, destination: Path) -> None:
        """Copy the folder that a version was registered from to `destination`."""
        uri = f"models:/{version.name}/{version.version}"
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch, self._fluent():
            logged = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
            shutil.move(Path(logged) / "artifacts" / EXPORT, destination)

    def log_files(self, folder: Path, names: Sequence[str]) -> None:
        """Attach files to the pipeline's run."""
        for name in names:
            self.client.log_artifact(self._parent(), str(folder / name))

    def page(self, run_id: str) -> str:
        """Address of a run in the MLflow UI that `make up` opens."""
        port = os.environ.get("FINECAP_MLFLOW_PORT", "5000")
        place = f"experiments/{self._experiment_id()}/runs/{run_id}?{MODEL_TRAINING}"
        return f"http://localhost:{port}/#/{place}"

    def _reopened(self, run_id: str | None, tags: Mapping[str, str]) -> TrackedRun | None:
        """The run, open again and below today's pipeline run; None if that cannot be."""
        if run_id is None or self.status(run_id) in {None, FINISHED}:
            return None
        before = self.client.get_run(run_id).data.tags
        broken_off = [*before.get(INTERRUPTED, "").split(), before.get("dagster_run_id", "")]
        tags = {**tags, INTERRUPTED: " ".join(dict.fromkeys(broken_off))}
        tags["mlflow.runName"] = before.get("mlflow.runName", "")  # people may have named it
        self.client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
        self.client.update_run(run_id, status="RUNNING")
        return TrackedRun(self.client, run_id, points_of(self.client, run_id))

    def _experiment_id(self) -> str:
        """The profile's experiment, created on first use."""
        found = self.client.get_experiment_by_name(self.experiment)
        if found is not None:
            return found.experiment_id
        with self._lock():
            found = self.client.get_experiment_by_name(self.experiment)
            if found is not None:
                return found.experiment_id
            place = (self.folder / "artifacts").as_uri()
            return self.client.create_experiment(self.experiment, artifact_location=place)

    def _parent(self) -> str:
        """The run that stands for the pipeline run, created on first use."""
        experiment = self._experiment_id()
        where = f"tags.dagster_run_id = '{self.pipeline_run}' and tags.kind = 'pipeline'"
        with self._lock():
            found = self.client.search_runs([experiment], where, max_results=1)
            if found:
                return found[0].info.run_id
            tags = {
                "mlflow.runName": f"pipeline {self.pipeline_run[:8]}",
                "dagster_run_id": self.pipeline_run,
                "kind": "pipeline",
                "git_commit": git_commit(),
            }
            run = self.client.create_run(experiment, tags=tags)
            self.client.set_terminated(run.info.run_id)
            return run.info.run_id

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time: creating the database, an experiment or a parent run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _fluent(self, run_id: str | None = None) -> Iterator[None]:
        """MLflow's global interface, which alone stores and fetches models, pointed here."""
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.uri)
        try:
            if run_id is None:
                yield
                return
            status = self.client.get_run(run_id).info.status
            with mlflow.start_run(run_id=run_id):
                yield
            self.client.set_terminated(run_id, status)
        finally:
            mlflow.set_tracking_uri(before)


def model_of(name: str, variant: str, kind: str, root: Path) -> Model:
    """A model served by `mlflow/<kind>.py`: `captioner` gives sentences, `encoder` vectors.

    The signature names outputs alone: an image may come as a path, as bytes or as an array, alone
    or in a list or table, and MLflow's schemas cannot say so.
    """
    outputs = {"captioner": ColSpec("string"), "encoder": ColSpec("double")}
    signature = ModelSignature(outputs=Schema([outputs[kind]]))
    return Model(name, variant, root / "mlflow" / f"{kind}.py", signature)


def requirements() -> list[str]:
    """What serving a model needs, at the versions installed here (a `+cpu` build tag dropped)."""
    pins = [f"{name}=={installed(name).split('+')[0]}" for name in _REQUIREMENTS]
    return [f"finecap=={installed('finecap')}", *pins]


def git_commit() -> str:
    """The commit checked out where the project lies, `-dirty` when files differ, or `unknown`."""
    root = Path(__file__).resolve().parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # a tag for people; a copy without git trains all the same


def _params(config: Mapping[str, Any]) -> list[Param]:
    """Settings as flat parameters."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}
    return [Param(key, text[:_MAX_VALUE]) for key, text in texts.items()]


__all__ = ["Model", "ModelVersion", "RunTag", "TrackedRun", "Tracker", "model_of", "requirements"]
