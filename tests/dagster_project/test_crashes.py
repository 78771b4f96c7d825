"""`kill -9` of a run's worker at work on a model: the next goes on, and registers it once.

`FINECAP_CRASHES` asks for all models at all points (`make soak`); else one, beside `test_resume`'s;
and for the worker's death in an outage of MLflow as often as it says, else once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.artifacts import MARKER
from dagster_project.home import TRACKING_URI, Home
from finecap.config import ScstConfig
from tests.dagster_project.crash import ASSETS, POINTS, SAVED, Doomed
from tests.dagster_project.mlflow_server import MlflowServer
from tests.dagster_project.training import Training, cause
from tests.finecap.conftest import tiny

pytestmark = pytest.mark.slow
__all__ = ["tiny"]
ALL = [(name, point) for name in ASSETS for point in POINTS]
FEW = [("mle_captioner", "between files and version")]
UNREGISTERED = "image_features"


def cases() -> list[tuple[str, str]]:
    """Asset and point; what is not registered cannot die at that."""
    chosen = ALL if "FINECAP_CRASHES" in os.environ else FEW
    points = list(POINTS)[:2]
    return [(name, at) for name, at in chosen if name != UNREGISTERED or at in points]


@pytest.mark.parametrize(("name", "point"), cases())
def test_what_a_killed_worker_began_is_ended_once_by_the_next(
    name: str, point: str, tiny: SimpleNamespace, home: Home, instance: dg.DagsterInstance
):
    doomed = Doomed(home, instance, name)
    doomed.put(tiny)
    command = [sys.executable, "-m", "tests.dagster_project.crash", str(home.path), name, point]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    finished = list((home.artifacts / name).glob(f"*/{MARKER}"))
    assert bool(finished) == (point not in {"training", "publishing"})

    outcome = doomed.run()
    assert outcome.success, cause(outcome)
    (made,) = outcome.asset_materializations_for_node(doomed.asset.node_def.name)
    assert made.metadata["status"].value == ("reused" if finished else "made")
    lines = doomed.logged(outcome)
    goes_on = point == "training" and name != UNREGISTERED
    assert (f"going on from step {SAVED}" in lines) == goes_on
    (folder,) = (home.artifacts / name).iterdir()  # so nothing half-made is left
    assert (folder / MARKER).is_file()
    assert not list(home.checkpoints.glob(f"{name}/*"))

    client = doomed.tracker.client
    experiment = client.get_experiment_by_name("finecap-test")
    where = f"tags.asset = '{name}'"
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id], where)
    versions = client.search_model_versions()
    if name == UNREGISTERED:
        assert not runs
        assert not versions
        return
    (run,), (version,) = runs, versions
    assert run.info.status == "FINISHED"
    assert version.run_id == run.info.run_id
    assert version.tags["data_version"] == folder.name
    (model,) = client.search_registered_models()
    assert not model.aliases
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    points = [(m.step, m.value) for m in losses]  # phases have steps of the same number
    assert len(points) == len(set(points)) > 0


LONG = ScstConfig(steps=40, val_every=4, batch_size=16, samples_per_image=3, max_tokens=20)


@pytest.mark.parametrize("turn", range(int(os.environ.get("FINECAP_CRASHES", "1"))))
def test_a_worker_killed_while_mlflow_is_down_loses_no_metric_and_sends_none_twice(
    turn: int,
    tiny: SimpleNamespace,
    home: Home,
    instance: dg.DagsterInstance,
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
):
    """Some metrics were sent, others only on disk, when both were gone; then both are back."""
    monkeypatch.setenv(TRACKING_URI, server.address)
    training = Training(home, instance, LONG)
    training.put(tiny)
    settings = json.dumps(LONG.model_dump(mode="json"))
    command = [sys.executable, "-m", "tests.dagster_project.training", str(home.path), settings]
    try:
        with subprocess.Popen([*command, server.address]) as worker:
            until(worker, lambda: training.step() > 8)
            server.kill()
            down = training.step()
            until(worker, lambda: training.step() > down + 4 + turn)
            worker.kill()
        saved = training.step()
        written = (training.kept / "history.jsonl").read_text().count("val_reward")
    finally:
        server.start()
    ((run_id, status),) = training.runs().items()
    assert status == "RUNNING"
    assert 1 < len(training.steps_of("train/val_reward")) < written

    outcome = training.materialize()
    assert outcome.success, cause(outcome)
    assert f"going on from step {saved}" in training.logged(outcome)
    assert training.runs() == {run_id: "FINISHED"}
    assert training.versions() == [run_id]
    looks = [*range(0, LONG.steps + 1, LONG.val_every), LONG.steps + 1]
    assert sorted(training.steps_of("train/val_reward")) == looks
    rewards = [*range(5, LONG.steps + 1, 5), LONG.steps + 1]
    assert sorted(training.steps_of("train/reward")) == rewards
    (model,) = training.tracker.client.search_registered_models()
    assert not model.aliases
    training.tracker.client.delete_registered_model(model.name)
    training.tracker.client.delete_run(run_id)  # the next turn's must be the server's only one


def until(worker: "subprocess.Popen[bytes]", is_so: Callable[[], bool]) -> None:
    """Wait for it, as long as the worker is at work."""
    while not is_so():
        assert worker.poll() is None
        time.sleep(0.005)
