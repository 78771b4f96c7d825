"""Runs whose processes are gone, by `kill -9` of all or a power cut, and that Dagster has as alive.

One run is executed at a time, so such a run would keep the queue waiting for ever. What says that
a process is gone is the lock that it would hold (`executor`), which no number of a process's is.
Only runs in this home's own storage are judged: of a shared one, others may be at work elsewhere.
"""

import time
from pathlib import Path

import dagster as dg

from dagster_project.home import Home
from finecap.lock import is_locked

GRACE_S = 15.0
"""Between a run's start and its lock."""
LAUNCH_S = 600.0
"""Between a launch and the start that follows: a code location may take its time."""


def end_forsaken(home: Home) -> list[str]:
    """Report runs without a process as failed; their ids."""
    if not (home.dagster / "history" / "runs.db").is_file():
        return []  # no run, or another storage
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        if not _is_of(instance, home.dagster):
            return []
        return [run.run_id for run in _forsaken(instance, home) if _ended(instance, run)]


def _forsaken(instance: dg.DagsterInstance, home: Home) -> list[dg.DagsterRun]:
    """Runs that were begun a while ago, and that nobody executes."""
    status = dg.DagsterRunStatus
    begun = [status.STARTING, status.STARTED, status.CANCELING]
    records = instance.get_run_records(dg.RunsFilter(statuses=begun))
    return [
        record.dagster_run
        for record in records
        if time.time() - (record.start_time or record.create_timestamp.timestamp())
        > (GRACE_S if record.start_time else LAUNCH_S)
        and not is_locked(home.run_lock(record.dagster_run.run_id))
    ]


def _ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report it as failed."""
    why = "its process is gone: it was killed, or the machine went down"
    instance.report_run_failed(run, why)
    return True


def _is_of(instance: dg.DagsterInstance, folder: Path) -> bool:
    """Whether the instance keeps its runs in the folder."""
    return (
        Path(instance.root_directory) == folder and "Sqlite" in type(instance.run_storage).__name__
    )
