"""The table that ends a run."""

import dagster as dg

from dagster_project.overhead import Timing, report, timings


def test_library_seconds_are_not_overhead(instance: dg.DagsterInstance):
    @dg.asset
    def slow() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"library_seconds": 0.0, "status": "made"})

    outcome = dg.materialize([slow], instance=instance)
    (row,) = timings(instance, outcome.run_id)
    assert (row.asset, row.status) == ("slow", "made")
    assert row.overhead == row.seconds >= 0


def test_report_gives_the_median():
    rows = [
        Timing("a", 5.0, 4.0, "made"),
        Timing("b", 2.0, 0.0, "reused"),
        Timing("c", 9.0, 0.0, "made"),
    ]
    assert report(rows).splitlines()[-1] == "median overhead 2.0 s"
    assert report([]) == "no step ran"


def test_a_step_that_failed_is_called_so(instance: dg.DagsterInstance):
    @dg.asset
    def broken() -> None:
        raise ValueError("broken")

    outcome = dg.materialize([broken], instance=instance, raise_on_error=False)
    (row,) = timings(instance, outcome.run_id)
    assert (row.asset, row.status) == ("broken", "failed")
