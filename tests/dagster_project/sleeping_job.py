"""`python -m tests.dagster_project.sleeping_job HOME`: a run that sleeps until it is killed."""

import os
import sys
import time
from pathlib import Path
from typing import Any, cast

import dagster as dg

from dagster_project.executor import TrackedExecutor
from dagster_project.home import Home
from tests.dagster_project.conftest import ROOT

HOME = "FINECAP_TEST_HOME"


def sleeping_job() -> dg.JobDefinition:
    """The job, executed as all jobs are, in one process."""
    inner = dg.in_process_executor
    assert inner.executor_creation_fn is not None
    create, home = inner.executor_creation_fn, Home(ROOT, Path(os.environ[HOME]))
    executor = dg.ExecutorDefinition(
        name="in_process",
        config_schema=cast("Any", inner.config_schema),
        requirements=[],
        executor_creation_fn=lambda context: TrackedExecutor(create(context), home, "test"),
    )

    @dg.op
    def sleep() -> None:
        sys.stdout.write("asleep\n")
        sys.stdout.flush()
        time.sleep(600)

    @dg.job(executor_def=executor)
    def sleeping() -> None:
        sleep()

    return sleeping


def main(home: str) -> None:
    """Execute the job."""
    os.environ[HOME] = home
    with dg.DagsterInstance.from_config(f"{home}/dagster") as instance:
        dg.execute_job(dg.reconstructable(sleeping_job), instance)


if __name__ == "__main__":
    from tests.dagster_project import sleeping_job as module  # reconstructable needs its real name

    module.main(*sys.argv[1:])
