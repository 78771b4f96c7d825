"""A code location of one job, whose step says that it began and waits until it may end."""

import os
import time
from pathlib import Path

import dagster as dg

FOLDER = "FINECAP_TEST_FOLDER"


class Name(dg.Config):
    """Of the run."""

    name: str


@dg.op
def wait(config: Name) -> None:
    """Say so, and wait."""
    folder = Path(os.environ[FOLDER])
    (folder / f"{config.name} began").touch()
    while not (folder / f"{config.name} may end").exists():
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """One step."""
    wait()


defs = dg.Definitions(jobs=[waiting])
