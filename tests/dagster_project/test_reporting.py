"""What a stage reports: a history that outlives a kill, without a hole and without a step twice."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from dagster_project.reporting import History, reporter
from dagster_project.tracking import Tracker


class Lines:
    """Stands in the place of an asset's context, of which a reporter uses the log alone."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.log = SimpleNamespace(info=self.said.append)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "version" / "history.jsonl"


def row(step: int, **metrics: float) -> Mapping[str, float]:
    return {"step": float(step), **metrics}


def test_rows_are_on_disk_as_soon_as_they_are_taken(file: Path):
    first = History(file)
    assert first.add(row(5, loss=0.1, kl=math.inf))
    assert first.add(row(10, loss=0.3))
    assert History(file).rows == first.rows


def test_a_step_taken_again_by_a_later_attempt_is_dropped(file: Path):
    for step in (5, 10):
        History(file).add(row(step, loss=1 / step))
    again = History(file)
    assert not again.add(row(10, loss=0.1))
    assert again.add(row(15, loss=0.05))
    assert [r["step"] for r in again.rows] == [5, 10, 15]
    assert History(file).rows == again.rows


def test_a_step_of_another_phase_is_another_row(file: Path):
    """An encoder names words first, then brings images and texts together: both count from 1."""
    History(file).add(row(20, loss=0.5))
    assert History(file).add(row(20, loss=0.5, contrastive=0.2))


def test_within_one_attempt_nothing_is_dropped(file: Path):
    history = History(file)
    assert history.add(row(1, loss=0.5))
    assert history.add(row(1, loss=0.5))


def test_a_line_that_a_kill_cut_off_is_forgotten(file: Path):
    History(file).add(row(5, loss=0.1))
    with file.open("a") as stream:
        stream.write('{"step": 10.0, "lo')
    again = History(file)
    assert again.rows == [row(5, loss=0.1)]
    again.add(row(10, loss=0.2))
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [5, 10]


def test_without_a_file_a_history_is_kept_all_the_same():
    history = History()
    assert history.add(row(1, loss=0.5))
    assert history.rows == [row(1, loss=0.5)]


def test_a_replayed_run_has_what_the_interrupted_one_did_not_send(file: Path, tracker: Tracker):
    """Killed, it had sent the first step and noted the second; then it took the second again."""
    with tracker.child("x", {}, {}) as run:
        run.log(5, {"train/loss": 0.5})
    for step in (5, 10):
        History(file).add(row(step, loss=step / 10))
    tracker.client.update_run(run.run_id, status="RUNNING")
    history = History(file)
    with tracker.child("x", {}, {}, run.run_id) as again:
        history.replay(again)
        log = reporter(Lines(), history, again)  # type: ignore[arg-type]
        log("", 10, loss=1.0)
        log("", 15, loss=1.5)
    found = tracker.client.get_metric_history(run.run_id, "train/loss")
    assert [(m.step, m.value) for m in found] == [(5, 0.5), (10, 1.0), (15, 1.5)]


def test_metrics_without_a_step_count_their_own_calls():
    history = History()
    log = reporter(Lines(), history)  # type: ignore[arg-type]
    for kept in (3.0, 4.0):
        log("positives", positives_kept=kept)
    log("corruptions as columns")
    assert history.rows == [row(0, positives_kept=3.0), row(1, positives_kept=4.0)]


def test_lines_of_steps_are_thinned_and_others_are_not():
    lines = Lines()
    log = reporter(lines, History())  # type: ignore[arg-type]
    for step in range(3):
        log("of 3", step, loss=0.25)
    log("going on from step 3")
    assert lines.said == ["step 0 of 3 loss=0.25", "going on from step 3"]
