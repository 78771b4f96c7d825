"""`kill -9` of a run's worker at work on a model: the next goes on, and registers it once.

`FINECAP_CRASHES` asks for all models at all points (`make soak`); else one, beside `test_resume`'s.
"""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.artifacts import MARKER
from dagster_project.home import Home
from tests.dagster_project.crash import ASSETS, POINTS, SAVED, Doomed
from tests.dagster_project.training import cause
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
