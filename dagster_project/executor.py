"""How steps are run: two side by side, and the pipeline's MLflow run ends with the Dagster run.

In Kubernetes each is a pod instead, and its own process; which it asks for is `pods`'s.

Only the process that executes a run sees its end however it is started, from a terminal, the UI or
a schedule: a step does not know that it is the last, and sensors tick in a daemon that a terminal
does without. A lock, which dies with that process, tells others that it is alive: what `kill -9`
left open is ended by the next run that ends.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from dagster_project import pods
from dagster_project.home import Home, experiment_of
from dagster_project.outage import Say, is_outage
from dagster_project.tracking_store import MlflowUnreachableError, TrackingStore, has_begun
from finecap.lock import is_locked, locked

if TYPE_CHECKING:
    from dagster_project.tracking import Tracker

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
PRELOADED = ["dagster_project.preload"]
"""Imported once by the process that all steps are forked from, so that each starts in no time."""
_ENDS = {
    dg.DagsterRunStatus.SUCCESS: FINISHED,
    dg.DagsterRunStatus.FAILURE: FAILED,
    dg.DagsterRunStatus.CANCELED: KILLED,
}


def tracked_executor(home: Home, profile: str) -> dg.ExecutorDefinition:
    """The executor of all jobs of a profile."""
    inner = _by_pods() if pods.is_chosen() else _by_processes()
    assert inner.executor_creation_fn is not None  # noqa: S101  Dagster's own has one
    create = inner.executor_creation_fn
    return dg.ExecutorDefinition(
        name=inner.name,
        config_schema=cast("Any", inner.config_schema),
        requirements=inner.get_requirements,
        executor_creation_fn=lambda context: TrackedExecutor(create(context), home, profile),
    )


def _by_processes() -> dg.ExecutorDefinition:
    """A process of this machine per step."""
    start = {"forkserver": {"preload_modules": PRELOADED}}
    return dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": start}, name="multiprocess"
    )


def _by_pods() -> dg.ExecutorDefinition:
    """A pod per step; as many as pools and nodes allow."""
    from dagster_k8s import k8s_job_executor

    return k8s_job_executor


class TrackedExecutor(dg.Executor):
    """Another executor, and the end of what its runs have tracked.

    Args:
        inner: that executes the steps.
        home: of the profile.
        profile: whose experiment holds the pipeline's runs.
    """

    def __init__(self, inner: dg.Executor, home: Home, profile: str) -> None:
        self._inner, self._home, self._profile = inner, home, profile

    @property
    def retries(self) -> Any:
        """As the inner executor's."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """As the inner executor's."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the steps; end the pipeline's MLflow run when that is over, however it is.

        Raises:
            MlflowUnreachableError: nobody answers at the shared MLflow; no step was begun.
        """
        run_id, instance = plan_context.run_id, plan_context.instance
        status = KILLED
        TrackingStore(self._home.mlflow).check()
        with locked(self._home.run_lock(run_id), f"Dagster run {run_id}"):
            try:
                has_failed = False
                for event in self._inner.execute(plan_context, execution_plan):
                    has_failed = has_failed or event.is_step_failure
                    yield event
                status = FAILED if has_failed else FINISHED
            finally:
                self._try_to_end(instance, run_id, status, plan_context.log.warning)

    def _try_to_end(self, instance: dg.DagsterInstance, run_id: str, status: str, say: Say) -> None:
        """End what MLflow has of this run; in an outage the next run does."""
        if not has_begun(self._home.mlflow):
            return  # nothing was tracked yet, and loading MLflow takes seconds
        from mlflow import MlflowException

        try:
            self._end(instance, run_id, status)
        except (MlflowException, MlflowUnreachableError) as error:
            if not is_outage(error):
                raise
            say("MLflow does not answer: what it has of this run stays open until the next ends")

    def _end(self, instance: dg.DagsterInstance, run_id: str, status: str) -> None:
        """End this run, and those whose processes were killed."""
        from dagster_project.pipeline_run import open_pipelines

        tracker = self._tracker(run_id)
        tracker.pipeline.end(status)
        for other in open_pipelines(tracker):
            if not is_locked(self._home.run_lock(other)):
                self._tracker(other).pipeline.end(*ended(instance, other))

    def _tracker(self, run_id: str) -> "Tracker":
        from dagster_project.tracking import Tracker

        return Tracker(self._home.mlflow, experiment_of(self._profile), run_id)


def ended(instance: dg.DagsterInstance, run_id: str) -> tuple[str, float | None]:
    """How and when a run whose process is gone ended, as Dagster has it.

    Of one that was killed Dagster knows no end; its last event is when it was last alive.
    """
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return KILLED, None
    status = _ENDS.get(record.dagster_run.status, KILLED)
    if record.end_time is not None:
        return status, record.end_time
    last = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return status, last[0].timestamp if last else None
