"""Two homes at work on one MLflow server at once: nothing mixed up, nothing lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.dataset_input import TRAINING
from dagster_project.executor import TrackedExecutor
from dagster_project.home import TRACKING_URI, Home
from dagster_project.registry import Registry
from dagster_project.tracking import Tracker
from tests.dagster_project.mlflow_server import MlflowServer
from tests.dagster_project.test_tracking import DATA
from tests.dagster_project.two_homes import LR, MODEL, RATE

NAMES = ("hers", "his")


@pytest.fixture
def folder(server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of two homes that share a server."""
    monkeypatch.setenv(TRACKING_URI, server.address)
    yield tmp_path
    client = Tracker(tmp_path, "finecap-test", "").client
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)


@contextmanager
def waiting(home: Path, rates: list[float]) -> Iterator["subprocess.Popen[str]"]:
    """A home's process, ready to begin."""
    words = [os.environ[TRACKING_URI], str(home), *map(str, rates)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.dagster_project.two_homes", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def at_once(folder: Path, rates: dict[str, list[float]]) -> list[str]:
    """Let both work until they are done; the versions that they have made champion."""
    promoted: list[str] = []
    with ExitStack() as stack:
        both = [stack.enter_context(waiting(folder / name, rates[name])) for name in NAMES]
        for one in both:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n", one.communicate()
        for one in both:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in both:
            made, said = one.communicate(timeout=300)
            assert one.returncode == 0, said
            promoted += made.split()
    return promoted


@pytest.mark.slow
def test_each_version_is_of_one_home_and_champions_only_get_better(folder: Path):
    rates = {
        name: [(2 * i + (i + j) % 2 + 1) / 30 for i in range(14)] for j, name in enumerate(NAMES)
    }
    promoted = at_once(folder, rates)

    trackers = {name: Tracker(folder / name / "mlflow", "finecap-test", "") for name in NAMES}
    (tracker, other), client = trackers.values(), trackers["hers"].client
    registry = Registry(tracker, MODEL)
    versions = registry.versions()
    trained = [v for v in versions.values() if "data_version" in v.tags]
    assert len(versions) == sum(map(len, rates.values()))
    assert len({v.run_id for v in trained}) == len(trained) == len(NAMES) * len(LR)
    for version in trained:
        run = client.get_run(version.run_id)
        parent = client.get_run(run.data.tags["mlflow.parentRunId"]).data.tags["home"]
        name = next(name for name, mine in trackers.items() if mine.home_id == parent)
        trackers[name].download(version, folder / f"v{version.version}")
        weights = (folder / f"v{version.version}" / "weights").read_text()
        assert weights == f"{name} {run.data.params['lr']}"
        data_version = version.tags["data_version"]
        assert other.version(MODEL, data_version, version.run_id) == version
    assert len({v.tags["data_version"] for v in trained}) == len(LR)

    moves = registry.history()
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert all(one.after == next_.before for one, next_ in pairwise(moves))
    assert {move.kind for move in moves} == {"promotion"}
    assert sorted(move.after for move in moves) == sorted(promoted)
    reached = [float(versions[move.after].tags[RATE]) for move in moves]
    assert reached == sorted(set(reached))
    assert (registry.champion, reached[-1]) == (moves[-1].after, max(map(max, rates.values())))
    assert [model.name for model in client.search_registered_models()] == [MODEL]


def test_a_home_ends_none_of_the_others_pipeline_runs(folder: Path, instance: dg.DagsterInstance):
    hers, his = (Tracker(folder / name / "mlflow", "finecap-test", name) for name in NAMES)
    assert hers.pipeline.run_id != his.pipeline.run_id
    executor = TrackedExecutor(dg.in_process_executor, Home(folder, folder / "hers"), "test")  # type: ignore[arg-type]
    executor._end(instance, "hers", "FINISHED")
    assert hers.status(hers.pipeline.run_id) == "FINISHED"
    assert his.status(his.pipeline.run_id) == "RUNNING"


def test_a_data_set_that_both_enter_at_once_is_entered_by_both(folder: Path):
    homes = [Tracker(folder / str(i) / "mlflow", "finecap-test", str(i)) for i in range(4)]
    runs = [(tracker, tracker.pipeline.run_id) for tracker in homes]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each[0].log_data(each[1], DATA, TRAINING), runs))
    for tracker, run_id in runs:
        (entered,) = tracker.client.get_run(run_id).inputs.dataset_inputs
        assert entered.dataset.digest == DATA.md5
