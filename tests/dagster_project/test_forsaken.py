"""A run whose process was killed has failed, so that the queue goes on; one that lives is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_project import forsaken
from dagster_project.forsaken import end_forsaken
from dagster_project.home import Home
from dagster_project.instance import SETTINGS
from tests.dagster_project.conftest import ROOT


@pytest.mark.slow
def test_a_killed_run_has_failed_and_a_living_one_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = Home(ROOT, tmp_path)
    home.dagster.mkdir()
    (home.dagster / "dagster.yaml").write_text(SETTINGS)
    assert end_forsaken(home) == []
    command = [sys.executable, "-m", "tests.dagster_project.sleeping_job", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asleep\n"
        monkeypatch.setattr(forsaken, "GRACE_S", 0.0)
        assert end_forsaken(home) == []
        os.killpg(process.pid, signal.SIGKILL)
    monkeypatch.setattr(forsaken, "GRACE_S", 600.0)
    assert end_forsaken(home) == []  # it may be about to take its lock
    monkeypatch.setattr(forsaken, "GRACE_S", 0.0)
    (ended,) = end_forsaken(home)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        run = instance.get_run_by_id(ended)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        (last,) = instance.get_records_for_run(ended, limit=1, ascending=False).records
        assert "its process is gone" in last.event_log_entry.message
    assert end_forsaken(home) == []
