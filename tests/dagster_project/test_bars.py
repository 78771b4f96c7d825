"""Bars on a terminal: a step's line moves its bar, any other line is kept above."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from dagster_project import bars
from dagster_project.bars import ENDED, FILE, STARTED, Bars, append


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def said(asset: str, kind: str, text: str) -> str:
    return json.dumps({"asset": asset, "kind": kind, "text": text, "line": f"{asset} {text}"})


def test_a_steps_line_moves_its_bar_and_is_not_printed() -> None:
    console = terminal()
    with Bars(console) as drawn:
        drawn.take(said("scst/cider", STARTED, "started"))
        drawn.take(said("scst/cider", "", "step 25 of 180, 2.1 steps/s, 74 s left reward=1.2"))
        (task,) = drawn.progress.tasks
        assert (task.completed, task.total) == (25, 180)
        assert task.fields["at"] == "25/180  2.1 steps/s, 74 s left reward=1.2"
        drawn.take(said("scst/cider", ENDED, "made"))
        assert not drawn.progress.tasks
    printed = text_of(console)
    assert "scst/cider started" in printed
    assert "scst/cider made" in printed
    assert "scst/cider step 25" not in printed


def test_what_other_processes_append_is_drawn_and_none_of_it_lost() -> None:
    console = terminal()
    child = (
        "from dagster_project.bars import append\n"
        "for i in range(200): assert append('mle', '', f'line {i}', f'line {i} of {PID}')"
    )
    with bars.bars(console):
        code = [child.replace("{PID}", str(i)) for i in range(2)]
        workers = [subprocess.Popen([sys.executable, "-c", one]) for one in code]
        assert [worker.wait() for worker in workers] == [0, 0]
    printed = text_of(console)
    for worker in range(2):
        assert all(f"line {i} of {worker}\n" in printed for i in range(200))
    assert FILE not in os.environ


def test_without_a_terminal_there_are_no_bars_and_lines_stay_with_who_writes_them() -> None:
    plain = Console(file=io.StringIO())
    with bars.bars(plain):
        assert FILE not in os.environ
        assert not append("mle", "", "step 1 of 2", "line")
    assert not text_of(plain)


def test_a_process_that_outlives_the_bars_writes_plain_lines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "gone"))
    assert not append("mle", "", "text", "line")


def test_a_line_is_seen_while_the_step_runs() -> None:
    console = terminal()
    with bars.bars(console):
        append("mle", STARTED, "started", "mle started")
        deadline = time.monotonic() + 10
        while "mle started" not in text_of(console) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "mle started" in text_of(console)
