"""MLflow, as the stages see it: a run per model under a run per pipeline run, and a registry.

Metrics are buffered and sent in batches of a few seconds, because a commit of the tracking database
costs as much as a training step of a small model. Where MLflow is, is `tracking_store`'s, and what
is registered `model_store`'s. Only that, this module and `forms` import mlflow at their top.

A run whose training was broken off is gone on with, so that its charts are whole. It moves below
the pipeline run that goes on with it: there people compare it with the other models of that run,
and the pipeline run that was broken off has nothing to compare. Which those were is a tag.
"""

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from dagster_project import compared, params
from dagster_project.dataset_input import EVALUATION, TRAINING, DataSet, inputs, split_name
from dagster_project.home import profile_of
from dagster_project.model_store import MAX_VALUE, ModelStore, ModelVersion, logged_model
from dagster_project.outage import VARIABLE, GaveUpError, Patience, Say, is_outage, patiently, rule
from dagster_project.pipeline_run import DagsterRun, PipelineRun, git_commit
from dagster_project.served import EXPORT, Model, model_of, requirements
from dagster_project.tracked_run import TrackedRun, points_of
from dagster_project.tracking_store import EXISTS, UNKNOWN, MlflowUnreachableError

# isort: split
# After `model_store`, which keeps MLflow's own warnings from being ours.
from mlflow.entities import Experiment, LifecycleStage, Param, RunTag

from mlflow import MlflowException

FINISHED = "FINISHED"
"""Status of a run whose stage has ended well."""
INTERRUPTED = "interrupted_dagster_runs"
"""Tag: pipeline runs in which this training was broken off."""


class Tracker(ModelStore):
    """The tracking store of one profile, on behalf of one pipeline run."""

    def __init__(
        self,
        folder: Path,
        experiment: str,
        pipeline_run: str | DagsterRun,
        say: Say | None = None,
    ) -> None:
        """The store that the home's `folder` reaches; nothing is opened before it is needed.

        Args:
            folder: of the home, for MLflow.
            experiment: of the profile.
            pipeline_run: on whose behalf.
            say: warns people while MLflow does not answer.
        """
        if isinstance(pipeline_run, str):
            pipeline_run = DagsterRun(pipeline_run)
        super().__init__(folder)
        self.experiment = experiment
        self.say = say or logging.getLogger("finecap.tracking").warning
        self.pipeline = PipelineRun(self, pipeline_run)

    @cached_property
    def experiment_id(self) -> str:
        """The profile's experiment, created on first use.

        Raises:
            OtherProfileError: a shared registry holds another profile's models.
        """
        self.check_profile(profile_of(self.experiment))
        tags, client = compared.experiment_tags(), self.client
        with self.lock():
            found = client.get_experiment_by_name(self.experiment) or self._experiment(tags)
            for key, text in tags.items():
                is_kept = key == compared.KIND and key in found.tags
                if found.tags.get(key) != text and not is_kept:
                    set_tag = partial(client.set_experiment_tag, found.experiment_id, key, text)
                    self.side_by_side(set_tag)
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
        clipped = {key: value[:MAX_VALUE] for key, value in all_tags.items()}
        run = self._reopened(continued, clipped) or self._begun(clipped, awaited)
        texts = {key: text[:MAX_VALUE] for key, text in params.flat(config).items()}
        self.client.log_batch(run.run_id, params=[Param(*item) for item in texts.items()])
        if data is not None:
            self.log_data(run.run_id, data, TRAINING)
            self.pipeline.log_data(data, TRAINING)
        try:
            yield run
        except BaseException as error:
            self._given_up(run)
            if run.is_stopped:
                raise GaveUpError(
                    f"{name}: training stopped because MLflow at {self.place} does not answer; its "
                    f"last step is saved, and another run goes on from there ({VARIABLE}=buffer "
                    "would have gone on)"
                ) from error
            raise
        patiently(lambda: self._ended(run), name, self.say)

    def log_data(self, run_id: str, data: DataSet, context: str) -> None:
        """Note the data set of a run; once, however often it is told."""
        entered = inputs(data, context)
        with self.lock():  # two that enter a new data set at once would fail
            self.side_by_side(lambda: self.client.log_inputs(run_id, entered))

    def status(self, run_id: str | None) -> str | None:
        """A run's status; None where the store does not have it, or no longer."""
        if run_id is None:
            return None
        try:
            info = self.client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code != UNKNOWN:
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

    def page(self, run_id: str) -> str:
        """Address of a run in the MLflow UI that `make up` opens."""
        return compared.run_page(self.experiment_id, run_id)

    def _experiment(self, tags: Mapping[str, str]) -> Experiment:
        """A new experiment, or the one that another home has made of a shared one meanwhile."""
        try:
            self.client.create_experiment(self.experiment, self.artifact_root, dict(tags))
        except MlflowException as error:
            if error.error_code != EXISTS:
                raise
        found = self.client.get_experiment_by_name(self.experiment)
        assert found is not None  # noqa: S101  made above
        return found

    def _patience(self) -> Patience:
        """As the environment asks for."""
        return Patience(rule(), self.say, self.check)

    def _given_up(self, run: TrackedRun) -> None:
        """End a run whose stage failed; in an outage whoever goes on with it does so."""
        try:
            self.check()
            run.flush()
            self.client.set_terminated(run.run_id, "FAILED")
        except (MlflowException, MlflowUnreachableError) as error:
            if not is_outage(error):
                raise
            self.say(f"MLflow does not answer: run {run.run_id} stays open")

    def _ended(self, run: TrackedRun) -> None:
        """End a run whose stage is done."""
        self.check()
        run.flush()
        self.client.set_terminated(run.run_id)

    def _begun(self, tags: Mapping[str, str], awaited: Collection[str]) -> TrackedRun:
        """A new run."""
        info = self.client.create_run(self.experiment_id, tags=dict(tags)).info
        run = TrackedRun(self.client, info.run_id, patience=self._patience())
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
        return TrackedRun(self.client, run_id, points_of(self.client, run_id), self._patience())


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
