"""A tracked run: metrics in batches, and no point twice."""

import math

import pytest

from dagster_project import tracked_run
from dagster_project.tracked_run import TrackedRun, points_of
from dagster_project.tracking import Tracker


def test_metrics_wait_for_the_batch_and_all_arrive(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
):
    sent: list[int] = []
    log_batch = tracker.client.log_batch
    monkeypatch.setattr(
        tracker.client,
        "log_batch",
        lambda run, metrics=(), **k: (sent.append(len(metrics)), log_batch(run, metrics, **k)),
    )
    with tracker.child("scst/clip_s", {}, {}) as run:
        for step in range(1000):
            run.log(step, {"reward": float(step), "loss": 0.0})
    assert [n for n in sent if n] == [900, 900, 200]
    assert len(tracker.client.get_metric_history(run.run_id, "reward")) == 1000


def test_metrics_are_sent_while_training_lasts(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracked_run, "FLUSH_S", 0.0)
    with tracker.child("x", {}, {}) as run:
        run.log(0, {"loss": 1.0})
        assert tracker.client.get_run(run.run_id).data.metrics == {"loss": 1.0}


def test_points_that_a_run_has_are_not_sent_again(tracker: Tracker):
    with tracker.child("x", {}, {}) as run:
        run.log(1, {"loss": 0.1, "kl": math.nan})
    known = points_of(tracker.client, run.run_id)
    assert known == {("loss", 1, "0.1"), ("kl", 1, "nan")}
    again = TrackedRun(tracker.client, run.run_id, known)
    again.log(1, {"loss": 0.1, "kl": math.nan, "lr": 0.5})
    again.log(1, {"loss": 0.2})  # another phase's step 1
    again.log(2, {"loss": 0.1})
    again.flush()
    history = tracker.client.get_metric_history(run.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 0.1), (1, 0.2), (2, 0.1)]
    assert len(tracker.client.get_metric_history(run.run_id, "kl")) == 1
    assert len(tracker.client.get_metric_history(run.run_id, "lr")) == 1


def test_a_metric_without_a_step_follows_those_the_run_had_before(tracker: Tracker):
    """The last step's metrics, as a stage returns them, beside those it reported."""
    with tracker.child("x", {}, {}) as run:
        run.log(7, {"loss": 0.1})
    again = TrackedRun(tracker.client, run.run_id, points_of(tracker.client, run.run_id))
    again.log(7, {"loss": 0.1})
    again.log(None, {"loss": 0.1})
    again.flush()
    history = tracker.client.get_metric_history(run.run_id, "loss")
    assert [m.step for m in history] == [7, 8]
