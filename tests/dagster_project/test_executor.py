"""The pipeline's MLflow run ends with the Dagster run, however that ends."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.executor import TrackedExecutor, ended
from dagster_project.home import TRACKING_URI, Home
from dagster_project.tracking import Tracker
from dagster_project.tracking_store import MlflowUnreachableError
from finecap.lock import locked


class Steps(dg.Executor):
    """An executor whose run tracks something, and then goes as told."""

    retries = None

    def __init__(self, tracker: Tracker, failures: list[bool], error: BaseException | None) -> None:
        self.tracker, self.failures, self.error = tracker, failures, error

    def execute(self, plan_context: object, execution_plan: object) -> Iterator[SimpleNamespace]:
        del plan_context, execution_plan
        assert self.tracker.pipeline.run_id
        yield from (SimpleNamespace(is_step_failure=failed) for failed in self.failures)
        if self.error is not None:
            raise self.error


def run(
    home: Home, instance: dg.DagsterInstance, run_id: str, *failures: bool,
    error: BaseException | None = None,
) -> str:  # fmt: skip
    """Status of the pipeline's MLflow run afterwards."""
    tracker = Tracker(home.mlflow, "finecap-test", run_id)
    executor = TrackedExecutor(Steps(tracker, list(failures), error), home, "test")
    log = logging.getLogger("test_executor")
    context = SimpleNamespace(run_id=run_id, instance=instance, log=log)
    try:
        assert len(list(executor.execute(context, None))) == len(failures)
    except KeyboardInterrupt:
        assert error is not None
    return tracker.client.get_run(tracker.pipeline.run_id).info.status


def test_it_ends_as_the_steps_did(home: Home, instance: dg.DagsterInstance):
    assert run(home, instance, "good", False, False) == "FINISHED"
    assert run(home, instance, "bad", True, False) == "FAILED"
    assert run(home, instance, "stopped", False, error=KeyboardInterrupt()) == "KILLED"


def test_what_a_killed_process_left_open_is_ended_and_what_lives_is_left(
    home: Home, instance: dg.DagsterInstance
):
    left, lives = (Tracker(home.mlflow, "finecap-test", name) for name in ("left", "lives"))
    assert left.pipeline.run_id != lives.pipeline.run_id
    with locked(home.mlflow / "pipelines" / "lives.lock", "another run"):
        run(home, instance, "next", False)
    assert left.status(left.pipeline.run_id) == "KILLED"
    assert lives.status(lives.pipeline.run_id) == "RUNNING"
    assert not list((home.mlflow / "pipelines").iterdir())


def test_without_an_answer_of_mlflow_no_step_is_begun(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TRACKING_URI, "http://127.0.0.1:9")
    with pytest.raises(MlflowUnreachableError, match="MLflow does not answer at http:"):
        run(home, instance, "early", False)
    assert not (home.mlflow / "pipelines").exists()


def test_an_outage_at_the_end_fails_no_run_and_the_next_ends_what_it_left(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog
):
    def silent(*_: object) -> None:
        raise MlflowUnreachableError

    with monkeypatch.context() as patch:
        patch.setattr(TrackedExecutor, "_end", silent)
        assert run(home, instance, "left", False) == "RUNNING"
    assert "stays open until the next ends" in caplog.text
    run(home, instance, "next", False)
    left = Tracker(home.mlflow, "finecap-test", "left")
    assert left.status(left.pipeline.run_id) == "KILLED"


def test_how_a_run_ended_is_what_dagster_says(instance: dg.DagsterInstance):
    @dg.op
    def step() -> None:
        raise ValueError

    @dg.job
    def job() -> None:
        step()

    outcome = job.execute_in_process(instance=instance, raise_on_error=False)
    status, at = ended(instance, outcome.run_id)
    record = instance.get_run_record_by_id(outcome.run_id)
    assert record is not None
    assert (status, at) == ("FAILED", record.end_time)
    assert ended(instance, "no such run") == ("KILLED", None)


@pytest.mark.slow
def test_steps_run_in_processes_of_their_own_and_the_run_ends_after_the_last(home: Home):
    """As a terminal and the UI execute a job: Dagster builds it and its executor from the code."""
    command = [sys.executable, "-m", "tests.dagster_project.small_job", str(home.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    tracker = Tracker(home.mlflow, "finecap-test", said["run_id"])
    info = tracker.client.get_run(tracker.pipeline.run_id).info
    assert info.status == "FINISHED"
    runs = tracker.client.search_runs([tracker.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {run.info.run_name for run in children} == {"first", "second"}
    assert info.start_time <= min(run.info.start_time for run in children)
    assert info.end_time >= max(run.info.end_time for run in children)
    assert info.start_time == pytest.approx(said["started"] * 1000, abs=1)
