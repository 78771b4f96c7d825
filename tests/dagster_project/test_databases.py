"""The databases of a team's servers are made where they are missing, as often as one asks."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_project import databases
from dagster_project.databases import DatabaseError, create, plain, upgrade, urls
from dagster_project.home import BACKEND_URI
from dagster_project.instance import STORAGE
from dagster_project.postgres import Postgres
from tests.dagster_project.own_postgres import free_port, running


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    with running() as own:
        yield own


def names(own: Postgres) -> set[str]:
    with psycopg.connect(own.url("postgres")) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def tables(own: Postgres, database: str) -> set[str]:
    with psycopg.connect(own.url(database)) as connection:
        asked = "SELECT schemaname || '.' || tablename FROM pg_tables"
        return {name for (name,) in connection.execute(asked)}


def test_addresses_are_those_that_the_environment_names():
    environ = {STORAGE: "postgresql+psycopg2://me@db/one", BACKEND_URI: "sqlite:///two"}
    assert urls(environ) == ["postgresql://me@db/one"]
    assert plain("postgres://me@db/x") == plain("postgresql+psycopg://me@db/x")


def test_missing_database_is_made_once(own: Postgres):
    for _ in range(2):
        create(own.url("made-here"))
    assert "made-here" in names(own)


def test_tables_of_dagster_and_index_are_there_afterwards(
    own: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    addresses = {
        STORAGE: own.url("dagster_test", "postgresql+psycopg2"),
        "FINECAP_INDEX_URL": own.url("index_test"),
    }
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    environ = {**addresses, "FINECAP_HOME": str(tmp_path), "FINECAP_PROFILE": "smoke"}
    for url in urls(environ):
        create(url)
    for _ in range(2):
        upgrade(environ)
    assert {"public.runs", "public.event_logs"} <= tables(own, "dagster_test")
    assert "finecap.builds" in tables(own, "index_test")


def test_mlflows_tables_are_upgraded_only_where_it_made_any(
    own: Postgres, monkeypatch: pytest.MonkeyPatch
):
    asked: list[list[str]] = []
    monkeypatch.setattr(databases.subprocess, "run", lambda command, **_: asked.append(command))
    environ = {BACKEND_URI: own.url("mlflow_test"), "FINECAP_PROFILE": "smoke"}
    create(environ[BACKEND_URI])
    upgrade(environ)
    assert not asked
    with psycopg.connect(environ[BACKEND_URI]) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
    upgrade(environ)
    assert asked[0][-3:] == ["db", "upgrade", environ[BACKEND_URI]]


def test_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(DatabaseError, match=r"PostgreSQL at 127\.0\.0\.1:\d+ cannot") as error:
        create(f"postgresql://me:secret@127.0.0.1:{free_port()}/name")
    assert "secret" not in str(error.value)


def test_user_who_may_not_make_a_database_is_told_to_ask(own: Postgres):
    with psycopg.connect(own.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    url = own.url("forbidden").replace("finecap@", "guest:guest@")
    with pytest.raises(DatabaseError, match="user guest may not create database forbidden"):
        create(url)
