"""Dagster's daemon, killed with a run at work and another in the queue: both come to their end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.instance import SETTINGS
from tests.dagster_project.queued_jobs import FOLDER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("FINECAP_CRASHES" not in os.environ, reason="`make soak` does it"),
]
MODULE = "tests.dagster_project.queued_jobs"
DAGSTER = str(Path(sys.executable).with_name("dagster"))


@contextmanager
def daemon(environment: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon and its code server, which end with the block."""
    command = [f"{DAGSTER}-daemon", "run", "-m", MODULE]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 300
    while not what():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_a_daemon_killed_with_runs_at_work_and_in_the_queue_goes_on_after_its_restart(
    tmp_path: Path,
):
    (tmp_path / "dagster.yaml").write_text(SETTINGS)
    log = tmp_path / "daemon.log"
    own = {"DAGSTER_HOME": str(tmp_path), FOLDER: str(tmp_path)}
    environment = {**os.environ, **own}

    def submit(name: str) -> None:
        config = json.dumps({"ops": {"wait": {"config": {"name": name}}}})
        command = [DAGSTER, "job", "launch", "-m", MODULE, "-j", "waiting", "--config-json", config]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:

        def statuses() -> list[str]:
            return [run.status.value for run in reversed(instance.get_runs())]

        with daemon(environment, log) as first:
            submit("first")
            wait_for((tmp_path / "first began").exists, log)
            submit("second")
            time.sleep(6)  # the daemon looks at its queue every 5 s
            assert statuses() == ["STARTED", "QUEUED"]
            first.kill()  # the daemon alone; the worker of the run at work is no part of it
            first.wait()
            with daemon(environment, log):
                (tmp_path / "first may end").touch()
                (tmp_path / "second may end").touch()
                wait_for(lambda: statuses()[1] == "SUCCESS", log)
                assert statuses() == ["SUCCESS", "SUCCESS"]
