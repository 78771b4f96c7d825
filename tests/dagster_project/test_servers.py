"""Servers are awaited, watched, and gone with their children when the block ends."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from dagster_project import servers as module
from dagster_project.home import Port
from dagster_project.servers import Server, ServerError, Servers, check_ports

SLEEPS = "import time; time.sleep(60)"


def python(code: str, name: str = "it", log: Path | None = None) -> Server:
    return Server(name, [sys.executable, "-c", code], lambda: True, log=log)


def pid_in(file: Path) -> int:
    """The process that the file names, as soon as it does."""
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(file.read_text())


def is_running(pid: int) -> bool:
    """Whether the process is there, and no corpse that waits for its parent."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_of_a_server_stop_with_it(tmp_path: Path):
    child = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])\n"
        "open('pid', 'w').write(str(p.pid)); time.sleep(60)"
    )
    with Servers(tmp_path) as servers:
        servers.start(python(child))
        pid = pid_in(tmp_path / "pid")
        assert is_running(pid)
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


def test_server_that_ends_before_it_answers_is_named_with_its_last_words(tmp_path: Path):
    log = tmp_path / "logs" / "log"
    server = Server("MLflow", [sys.executable, "-c", "raise SystemExit('no')"], lambda: False,
                    log=log)  # fmt: skip
    with (
        pytest.raises(ServerError, match=r"^MLflow ended with exit code 1; all .* last:\nno$"),
        Servers(tmp_path) as servers,
    ):
        servers.start(server)


def test_server_that_is_killed_ends_the_watch(tmp_path: Path):
    with Servers(tmp_path) as servers:
        servers.start(python("import os; open('pid', 'w').write(str(os.getpid()));" + SLEEPS))
        os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
        with pytest.raises(ServerError, match=r"^it was ended by SIGKILL$"):
            servers.watch()


def test_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "READY_S", 0.5)
    silent = Server("Dagster", [sys.executable, "-c", SLEEPS], lambda: False)
    with (
        pytest.raises(ServerError, match="Dagster: no answer within"),
        Servers(tmp_path) as servers,
    ):
        servers.start(silent)


def test_server_that_ignores_an_interrupt_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STOP_S", 0.3)
    deaf = "import os, signal; signal.signal(2, signal.SIG_IGN); "
    with Servers(tmp_path) as servers:
        servers.start(python(deaf + "open('pid', 'w').write(str(os.getpid()));" + SLEEPS))
        pid = pid_in(tmp_path / "pid")
    assert not is_running(pid)


def test_what_was_started_is_stopped_where_the_next_cannot_be(tmp_path: Path):
    first = python("import os; open('pid', 'w').write(str(os.getpid()));" + SLEEPS)
    second = Server("none", ["/no/such/program"], lambda: True)
    with Servers(tmp_path) as servers:
        servers.start(first)
        pid = pid_in(tmp_path / "pid")
        with pytest.raises(FileNotFoundError, match="no/such/program"):
            servers.start(second)
    assert not is_running(pid)


def test_taken_port_is_refused_by_its_variable():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Port("Dagster", "FINECAP_DAGSTER_PORT", other.getsockname()[1])
        with pytest.raises(ServerError, match=r"of Dagster is taken .* by FINECAP_DAGSTER_PORT"):
            check_ports([taken])
    check_ports([taken])
