"""`finecap serve` as a person starts it: it says where it is, answers, and ends when told."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest


@contextmanager
def started(home: Path, *options: str, **environment: str) -> Generator["subprocess.Popen[str]"]:
    """The command in a process; stderr goes where stdout goes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "finecap.cli", "serve", *options],
        env={**os.environ, "FINECAP_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def address(process: "subprocess.Popen[str]") -> str:
    """Where it says that it serves."""
    assert process.stdout
    for line in process.stdout:
        if found := re.fullmatch(r"finecap serves on (http://\S+)\n", line):
            return found[1]
    raise AssertionError("it ended")


@pytest.mark.slow
def test_it_says_where_it_is_and_ends_when_told(tmp_path: Path):
    with started(tmp_path, "--port", "0") as process:
        where = address(process)
        assert where.startswith("http://127.0.0.1:")
        assert httpx.get(f"{where}/healthz", timeout=60).json()["status"] == "ok"
        assert httpx.get(where, timeout=60).status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"FINECAP_TOKEN": "short"}, 2, "FINECAP_TOKEN has 5 characters, expected 16 or more"),
        ({"FINECAP_TOKEN_FILE": "/no/such/file"}, 2, "/no/such/file"),
        ({}, 1, "cannot listen on 127.0.0.1 port"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    tmp_path: Path, environment: dict[str, str], code: int, says: str
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with started(tmp_path, "--port", port, **environment) as process:
            said, _ = process.communicate(timeout=120)
    assert process.returncode == code
    assert says in said
    assert "Traceback" not in said
