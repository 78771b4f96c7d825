"""The pipeline's own run: as old as the Dagster run, open until that ends, and what lies in it."""

from pathlib import Path

from dagster_project.home import Home
from dagster_project.pipeline_run import DagsterRun, open_pipelines
from dagster_project.tracking import Tracker

BEGUN = 1_700_000_000.5  # seconds


def of(home: Home, run_id: str = "0123456789") -> Tracker:
    return Tracker(home.mlflow, "finecap-test", DagsterRun(run_id, "retrain", BEGUN))


def test_it_is_begun_with_the_dagster_run_and_stays_open_until_that_ends(home: Home):
    tracker = of(home)
    assert tracker.pipeline.found() is None
    with tracker.child("clip_s", {}, {}):
        pass
    run = tracker.client.get_run(tracker.pipeline.run_id)
    assert (run.info.run_name, run.info.status) == ("retrain 01234567", "RUNNING")
    assert run.info.start_time == BEGUN * 1000
    tracker.pipeline.end("FAILED", BEGUN + 60)
    info = tracker.client.get_run(run.info.run_id).info
    assert (info.status, info.end_time - info.start_time) == ("FAILED", 60_000)


def test_an_end_that_came_is_not_moved_and_none_is_begun_for_it(home: Home):
    tracker = of(home)
    tracker.pipeline.end("FINISHED")
    assert tracker.pipeline.found() is None
    run_id = tracker.pipeline.run_id
    for status, after in (("FINISHED", 1), ("KILLED", 2)):
        tracker.pipeline.end(status, BEGUN + after)
    info = tracker.client.get_run(run_id).info
    assert (info.status, info.end_time - info.start_time) == ("FINISHED", 1_000)


def test_only_those_that_have_not_ended_are_open(home: Home):
    first, second = of(home, "first"), of(home, "second")
    assert {first.pipeline.run_id, second.pipeline.run_id}
    first.pipeline.end("FINISHED")
    assert open_pipelines(second) == ["second"]


def test_it_holds_the_leaderboard_and_its_description(home: Home, tmp_path: Path):
    tracker = of(home)
    (tmp_path / "leaderboard.md").write_text("# all")
    tracker.pipeline.attach(tmp_path, ["leaderboard.md"], "[Compare](x)")
    run_id = tracker.pipeline.run_id
    (file,) = tracker.client.list_artifacts(run_id, "leaderboard")
    assert file.path == "leaderboard/leaderboard.md"
    assert tracker.client.get_run(run_id).data.tags["mlflow.note.content"] == "[Compare](x)"


def test_the_champions_scores_are_no_row_of_their_own_where_runs_are_sorted(home: Home):
    tracker = of(home)
    tracker.pipeline.decide({"decision": "promoted v7"}, {"val/judge_t2i_r1": 0.5})
    found = tracker.client.get_run(tracker.pipeline.run_id).data
    assert found.tags["decision"] == "promoted v7"
    assert found.metrics == {"champion/val/judge_t2i_r1": 0.5}
