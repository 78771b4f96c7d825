"""Another process that makes a version, as a second run of the same asset does."""

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from tests import held


def another_process(folder: Path) -> "AbstractContextManager[subprocess.Popen[str]]":
    """A process that makes the version, until it is killed."""
    return held.another_process("dagster_project.unfinished", "unfinished", folder)
