"""MLflow, as the stages see it: a run per model under a run per pipeline run, and a registry.

Metrics are buffered and sent in batches of a few seconds, because a commit of the tracking database
costs as much as a training step of a small model. Registration is idempotent: a model name holds
one version per data version, so a retry registers nothing twice. Models are stored as files plus
code (models-from-code), never as pickles. Only this module and `forms` import mlflow at their top.

A run whose training was broken off is gone on with, so that its charts are whole. It moves below
the pipeline run that goes on with it: there people compare it with the other models of that run,
and the pipeline run that was broken off has nothing to compare. Which those were is a tag.
"""

import fcntl
import hashlib
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
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

from dagster_project import compared, params
from dagster_project.dataset_input import EVALUATION, TRAINING, DataSet, inputs, split_name
from dagster_project.pipeline_run import DagsterRun, PipelineRun, git_commit
from dagster_project.served import EXPORT, Model, model_of, requirements
from dagster_project.tracked_run import TrackedRun, points_of
from mlflow import MlflowClient

# Read when it is first needed; a bar per file copied would drown the pipeline's own lines.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

FINISHED = "FINISHED"
"""Status of a run whose stage has ended well."""
INTERRUPTED = "interrupted_dagster_runs"
"""Tag: pipeline runs in which this training was broken off."""
_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"  # error code of MLflow's
_CARD = "card"  # tag: digest of the description that we wrote
_MAX_VALUE = 5_000  # characters of a tag or parameter


class Tracker:
    """The tracking store of one profile, on behalf of one pipeline run."""

    def __init__(self, folder: Path, experiment: str, pipeline_run: str | DagsterRun) -> None:
        """The store in `folder`; nothing is opened or created before it is needed."""
        if isinstance(pipeline_run, str):
            pipeline_run = DagsterRun(pipeline_run)
        self.folder, self.experiment = folder, experiment
        self.pipeline = PipelineRun(self, pipeline_run)

    @property
    def uri(self) -> str:
        """The store's address; the time-out lets parallel stages wait for each other's writes."""
        return f"sqlite:///{self.folder / 'mlflow.db'}?timeout=60"

    @cached_property
    def client(self) -> MlflowClient:
        """A client of the store, which is created on first use."""
        with self.lock():
            client = MlflowClient(self.uri)
            client.search_experiments(max_results=1)
            return client

    @cached_property
    def experiment_id(self) -> str:
        """The profile's experiment, created on first use."""
        client = self.client
        with self.lock():
            found = client.get_experiment_by_name(self.experiment)
            tags = compared.experiment_tags()
            if found is None:
                place = (self.folder / "artifacts").as_uri()
                return client.create_experiment(self.experiment, place, tags)
            for key, text in tags.items():
                is_kept = key == compared.KIND and key in found.tags
                if found.tags.get(key) != text and not is_kept:
                    client.set_experiment_tag(found.experiment_id, key, text)
            return found.experiment_id

    @contextmanager
    def child(
        self,
        name: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str],
        continued: str | None = None,
        *,
        data: DataSet | None = None,
        awaited: Collection[str] = (),
    ) -> Iterator[TrackedRun]:
        """A run named `name` below the pipeline's, finished or failed as its block is.

        Args:
            name: of the run.
            config: its parameters.
            tags: its own; those of the pipeline are added.
            continued: run to go on with; a new one is begun if that is finished, or deleted.
            data: what it trains on.
            awaited: metrics that it will be given later, first in its order; see `compared`.
        """
        all_tags = {
            "mlflow.runName": name,
            "mlflow.parentRunId": self.pipeline.run_id,
            "mlflow.source.name": "dagster_project",
            "dagster_run_id": self.pipeline.dagster.run_id,
            "git_commit": git_commit(),
            **tags,
        }
        clipped = {key: value[:_MAX_VALUE] for key, value in all_tags.items()}
        run = self._reopened(continued, clipped) or self._begun(clipped, awaited)
        texts = {key: text[:_MAX_VALUE] for key, text in params.flat(config).items()}
        self.client.log_batch(run.run_id, params=[Param(*item) for item in texts.items()])
        if data is not None:
            self.log_data(run.run_id, data, TRAINING)
            self.pipeline.log_data(data, TRAINING)
        try:
            yield run
        except BaseException:
            run.flush()
            self.client.set_terminated(run.run_id, "FAILED")
            raise
        run.flush()
        self.client.set_terminated(run.run_id)

    def log_data(self, run_id: str, data: DataSet, context: str) -> None:
        """Note the data set of a run; once, however often it is told."""
        with self.lock():  # two that enter a new data set at once would fail
            self.client.log_inputs(run_id, inputs(data, context))

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
                input_example=list(model.example) or None,  # type: ignore[arg-type]
                pip_requirements=requirements(),
            )
        # Inside, too: with a model id MLflow looks the model up in its global store.
        with self.lock(), self._fluent():
            if not self.client.search_registered_models(f"name = '{model.name}'"):
                self.client.create_registered_model(model.name)
            clipped = {key: value[:_MAX_VALUE] for key, value in tags.items()}
            return self.client.create_model_version(
                model.name, logged.model_uri, run_id, tags=clipped, model_id=logged.model_id
            )

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
            client.set_registered_model_tag(name, _CARD, digest)
        else:
            client.update_model_version(name, version, text)
            client.set_model_version_tag(name, version, _CARD, digest)

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

    def add_scores(
        self, version: ModelVersion, scores: Mapping[str, float], data: DataSet | None
    ) -> None:
        """Add an evaluation to a version's finished run and model, each split on its data.

        Args:
            version: that was scored.
            scores: by `val/<metric>` and `test/<metric>`.
            data: that holds both splits.
        """
        run = TrackedRun(self.client, version.run_id or "")
        if data is not None:
            self.log_data(run.run_id, data, EVALUATION)
            self.pipeline.log_data(data, EVALUATION)
        first = {compared.primary(): scores[n] for n in scores if n == compared.primary()}
        for name, value in {**first, **scores}.items():
            split = name.partition("/")[0]
            about = {"model_id": logged_model(version)}
            if data is not None:
                about |= {"dataset_name": split_name(data, split), "dataset_digest": data.md5}
            run.log(0, {name: value}, **about)
        run.flush()

    def add_file(self, run_id: str, file: Path) -> None:
        """Attach a file to a run."""
        self.client.log_artifact(run_id, str(file))

    def tag_version(self, version: ModelVersion, key: str, value: str) -> None:
        """Tag a registered version."""
        self.client.set_model_version_tag(version.name, str(version.version), key, value)

    def download(self, version: ModelVersion, destination: Path) -> None:
        """Copy the folder that a version was registered from to `destination`."""
        uri = f"models:/{version.name}/{version.version}"
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch, self._fluent():
            logged = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
            shutil.move(Path(logged) / "artifacts" / EXPORT, destination)

    def exported_files(self, version: ModelVersion) -> list[str]:
        """Names in the folder that a version was registered from; none where it is gone."""
        with self._fluent():
            uri = f"models:/{version.name}/{version.version}/artifacts/{EXPORT}"
            found = mlflow.artifacts.list_artifacts(artifact_uri=uri)
        return sorted(Path(file.path).name for file in found)

    def page(self, run_id: str) -> str:
        """Address of a run in the MLflow UI that `make up` opens."""
        return compared.run_page(self.experiment_id, run_id)

    def _begun(self, tags: Mapping[str, str], awaited: Collection[str]) -> TrackedRun:
        """A new run."""
        info = self.client.create_run(self.experiment_id, tags=dict(tags)).info
        run = TrackedRun(self.client, info.run_id)
        if awaited:
            run.log(0, dict.fromkeys(awaited, math.nan))
            run.flush()
        return run

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

    @contextmanager
    def lock(self) -> Iterator[None]:
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


def logged_model(version: ModelVersion) -> str:
    """Id of the model that a version is of; the store keeps it as the version's source alone."""
    return (version.source or "").removeprefix("models:/")


def _digest(text: str) -> str:
    """What tells a description of ours from one that a person has changed."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


__all__ = [
    "EXPORT",
    "Model",
    "ModelVersion",
    "RunTag",
    "TrackedRun",
    "Tracker",
    "model_of",
    "requirements",
]
