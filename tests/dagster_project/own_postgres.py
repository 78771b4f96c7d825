"""A home's own PostgreSQL for tests: in a folder that its user may enter, at a free port."""

import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dagster_project.home import Home
from dagster_project.postgres import Postgres
from dagster_project.servers import Servers
from tests.dagster_project.conftest import ROOT


@contextmanager
def open_home() -> Iterator[Home]:
    """A home outside pytest's folders, which the user that the database runs as cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix="finecap-stack-"))
    folder.chmod(0o755)
    try:
        yield Home(ROOT, folder)
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    """A port that nobody has, below those that the system hands out for connections by itself."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) != 0:
                return port


@contextmanager
def running() -> Iterator[Postgres]:
    """The server of a home, and the password to it in the environment."""
    with open_home() as home, Servers(home.path) as servers, pytest.MonkeyPatch.context() as patch:
        own = Postgres(home, free_port())
        servers.start(own.server())
        for name, value in own.environment.items():
            patch.setenv(name, value)
        yield own
