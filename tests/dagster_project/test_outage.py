"""A real MLflow server killed, silent, and back: nothing is lost, and nothing arrives twice."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests

from dagster_project import outage, tracked_run, tracking_store
from dagster_project.artifacts import ArtifactStore
from dagster_project.home import TRACKING_URI, Home
from dagster_project.outage import GaveUpError, Rule, is_outage, patiently, rule
from dagster_project.run_config import MleRun
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracking import Tracker
from dagster_project.tracking_store import MlflowUnreachableError
from finecap.config import MleConfig
from finecap.training.checkpoint import Checkpoints
from mlflow import MlflowException
from tests.dagster_project.conftest import ROOT, resources_of
from tests.dagster_project.mlflow_server import MlflowServer
from tests.dagster_project.training import cause

STEPS = 8
ENCODER = Registered("finecap-clip", "base_clip")


@pytest.fixture
def shared(server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home on a server whose silence lasts tenths of a second."""
    monkeypatch.setenv(TRACKING_URI, server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracked_run, "FLUSH_S", 0.0)
    monkeypatch.setattr(outage, "WAITS_S", (0.05, 0.1))
    home = Home(ROOT, tmp_path / "home")
    yield home
    server.go_on()
    tracker = Tracker(home.mlflow, "finecap-test", "")
    for model in tracker.client.search_registered_models():
        tracker.client.delete_registered_model(model.name)


def model(at_step: Callable[[int], None]) -> dg.AssetsDefinition:
    """A model of a few steps, which saves what it has taken when it is stopped."""

    @stage(MleRun, MleConfig(), group="test", modules=(), name="model")
    def model(
        context: dg.AssetExecutionContext, config: MleRun, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            kept = Checkpoints(stages.checkpoints(context, config, []), {}, log)
            with kept.resuming() as start:
                for step in range(start + 1, STEPS + 1):
                    at_step(step)
                    log("training", step, loss=1.0 / step)
                    kept.after_step(step)
            (folder / "weights").write_text(uuid.uuid4().hex)
            return {"val_cider": 0.5}

        return stages.run(context, config, [], work, registered=ENCODER)

    return model


def materialize(
    home: Home, instance: dg.DagsterInstance, at_step: Callable[[int], None], *, force: bool = False
):
    return dg.materialize(
        [model(at_step)],
        resources=resources_of(home),
        instance=instance,
        raise_on_error=False,
        run_config={"ops": {"model": {"config": {"force": force}}}},
    )


def at(step: int, do: Callable[[], None]) -> Callable[[int], None]:
    return lambda now: do() if now == step else None


def steps_of_the_only_run(home: Home) -> list[int]:
    """The steps of its loss, as they came; it is finished, and registered once."""
    client = Tracker(home.mlflow, "finecap-test", "").client
    (version,) = client.search_model_versions("name = 'finecap-clip'")
    assert client.get_run(version.run_id).info.status == "FINISHED"
    return [m.step for m in client.get_metric_history(version.run_id, "train/loss")]


def logged(outcome, instance: dg.DagsterInstance) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(outcome.run_id)]


@pytest.mark.slow
def test_training_goes_on_while_the_server_is_dead_and_sends_what_waited(
    shared: Home, server: MlflowServer, instance: dg.DagsterInstance
):
    def at_step(step: int) -> None:
        if step == 3:
            server.kill()
        if step == STEPS:
            server.start()

    outcome = materialize(shared, instance, at_step)
    assert outcome.success
    assert steps_of_the_only_run(shared) == list(range(1, STEPS + 1))
    lines = logged(outcome, instance)
    assert len([line for line in lines if line.startswith("MLflow does not answer (")]) == 1


def test_what_is_trained_in_an_outage_is_kept_and_registered_later_without_training(
    shared: Home, server: MlflowServer, instance: dg.DagsterInstance, monkeypatch
):
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 0.2)
    outcome = materialize(shared, instance, at(3, server.pause))
    assert "MLflow did not answer for" in cause(outcome)
    assert "what was made is kept" in cause(outcome)
    assert len([e for e in outcome.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]) == 0
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 10.0)
    server.go_on()
    again = materialize(shared, instance, at(1, pytest.fail))
    assert again.success
    (made,) = again.asset_materializations_for_node("model")
    assert made.metadata["status"].value == "reused"
    assert steps_of_the_only_run(shared) == list(range(1, STEPS + 1))


def test_a_model_made_anew_that_could_not_be_registered_is_later_beside_the_one_before(
    shared: Home, server: MlflowServer, instance: dg.DagsterInstance, monkeypatch, tmp_path: Path
):
    def weights() -> list[str]:
        """Of all registered versions, oldest first."""
        found = tracker.client.search_model_versions("name = 'finecap-clip'")
        for version in found:
            tracker.download(version, tmp_path / f"{moment} v{version.version}")
        return [f.read_text() for f in sorted(tmp_path.glob(f"{moment} v*/weights"))]

    tracker, moment = Tracker(shared.mlflow, "finecap-test", ""), "before"
    assert materialize(shared, instance, lambda _: None).success
    (first,) = weights()
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 0.2)
    outcome = materialize(shared, instance, at(STEPS, server.pause), force=True)
    assert "MLflow did not answer for" in cause(outcome)
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 10.0)
    server.go_on()
    moment = "between"
    assert weights() == [first]
    (folder,) = (shared.artifacts / "model").iterdir()
    made = ArtifactStore(shared.artifacts).get("model", folder.name)
    assert not tracker.has_version_of(str(made.run_id))  # so that no run is spared
    moment = "after"
    for _ in range(2):
        assert materialize(shared, instance, at(1, pytest.fail)).success
    assert weights() == [first, (folder / "weights").read_text()]
    assert tracker.has_version_of(str(made.run_id))


def test_by_the_other_setting_training_stops_saves_its_step_and_goes_on_later(
    shared: Home, server: MlflowServer, instance: dg.DagsterInstance, monkeypatch
):
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 0.2)
    monkeypatch.setenv(outage.VARIABLE, "stop")
    outcome = materialize(shared, instance, at(3, server.pause))
    assert "model: training stopped because MLflow at http://127.0.0.1" in cause(outcome)
    monkeypatch.setattr(tracking_store, "TIMEOUT_S", 10.0)
    server.go_on()
    seen: list[int] = []
    assert materialize(shared, instance, seen.append).success
    assert seen == list(range(4, STEPS + 1))
    assert steps_of_the_only_run(shared) == list(range(1, STEPS + 1))


def test_a_point_that_is_sent_again_is_there_once(shared: Home):
    tracker = Tracker(shared.mlflow, "finecap-test", "run-1")
    with tracker.child("x", {}, {}) as run:
        run.log(1, {"loss": 0.5})
        run.log(2, {"loss": 0.25})
        client = tracker.client
        (first, second) = client.get_metric_history(run.run_id, "loss")
        client.log_batch(run.run_id, [first, second])
    assert [m.step for m in client.get_metric_history(run.run_id, "loss")] == [1, 2]


def test_another_word_than_the_two_is_refused():
    assert (rule({}), rule({outage.VARIABLE: "stop"})) == (Rule.BUFFER, Rule.STOP)
    with pytest.raises(ValueError, match="is 'wait', expected one of: buffer, stop"):
        rule({outage.VARIABLE: "wait"})


def wrapped(inner: Exception) -> MlflowException:
    """As MLflow's client does, which forgets all but the text."""
    error = MlflowException("API request failed")
    error.__context__ = inner
    return error


def test_silence_is_told_from_refusals_and_from_a_full_disk():
    for silence in (requests.ConnectionError(), requests.Timeout()):
        assert is_outage(wrapped(silence))
    assert not is_outage(wrapped(ValueError("no such run")))
    assert not is_outage(MlflowException("no such run"))
    full = MlflowException("(sqlite3.OperationalError) database or disk is full")
    full.error_code = "TEMPORARILY_UNAVAILABLE"
    assert not is_outage(full)


def test_only_silence_is_waited_for_and_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outage, "WAITS_S", (0.0, 0.0))
    said: list[str] = []
    tries: list[int] = []

    def silent(until: int) -> str:
        tries.append(1)
        if len(tries) <= until:
            raise MlflowUnreachableError
        return "done"

    assert patiently(lambda: silent(2), "x", said.append) == "done"
    assert (len(tries), len(said)) == (3, 2)
    tries.clear()
    with pytest.raises(GaveUpError, match="x: MLflow did not answer for 0 s"):
        patiently(lambda: silent(9), "x", said.append)
    assert len(tries) == 3

    def refused() -> None:
        tries.append(1)
        raise MlflowException("no")

    tries.clear()
    with pytest.raises(MlflowException, match="no"):
        patiently(refused, "x", said.append)
    assert len(tries) == 1
