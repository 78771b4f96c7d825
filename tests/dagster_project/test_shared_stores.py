"""What is wrong with a team's stores is found, and no password is shown."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from dagster_project import shared_stores, stores
from dagster_project.home import TRACKING_URI, Home
from dagster_project.instance import STORAGE, write_instance
from dagster_project.postgres import Postgres
from tests.dagster_project.findings import only
from tests.dagster_project.own_postgres import free_port, running

INDEX = "FINECAP_INDEX_URL"


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    with running() as own:
        yield own


@pytest.fixture
def answers() -> Iterator[tuple[str, dict[str, object]]]:
    """A server's address, and what it says when asked for its version."""
    says: dict[str, object] = {"status": 200, "version": metadata.version("mlflow")}

    class Version(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(str(says["status"])))
            self.end_headers()
            self.wfile.write(str(says["version"]).encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Version) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://me:secret@127.0.0.1:{server.server_port}", says
        server.shutdown()


def test_databases_are_told_with_their_versions(own: Postgres):
    environ = {STORAGE: own.url("postgres", "postgresql+psycopg2"), INDEX: own.url("postgres")}
    storage, index = shared_stores.databases(environ)
    assert (storage.state, index.state) == ("ok", "ok")
    assert storage.said.startswith(f"{STORAGE}: PostgreSQL 18")
    assert index.said.endswith("at 127.0.0.1/postgres, pgvector 0.8.6")


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_where_dagster_keeps_its_runs_is_told(
    kind: str, own: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if kind == "PostgreSQL":
        monkeypatch.setenv(STORAGE, own.url("postgres", "postgresql+psycopg2"))
    home = Home(tmp_path, tmp_path)
    write_instance(home)
    assert only(stores.dagster(home), "ok").said == f"no run is unfinished; they are kept in {kind}"


def test_pgvector_that_is_too_old_is_named(own: Postgres, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_stores, "LEAST_PGVECTOR", (99, 0))
    found = only(shared_stores.databases({INDEX: own.url("postgres")}), "fail")
    assert found.fix.startswith("install 99.0 or newer")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_stores, "find_spec", lambda _: None)
    found = only(shared_stores.databases({STORAGE: "postgresql+psycopg2://db/x"}), "fail")
    assert (found.said, found.fix) == (
        f"{STORAGE} names PostgreSQL, and dagster_postgres is not installed",
        "pip install 'finecap[team]'",
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:{}/name", "Connection refused"),
        ("postgresql://me:pass@secret@127.0.0.1:{}/name", "holds an @ too many"),
        ("postgresql://me:secret@127.0.0.1:{}/name?secret=1", "expected postgresql://USER@HOST"),
    ],
)
def test_database_that_cannot_be_reached_is_named_without_its_password(url: str, said: str):
    found = only(shared_stores.databases({INDEX: url.format(free_port())}), "fail")
    assert said in found.said
    assert "secret" not in f"{found.said}{found.fix}"


def test_wrong_password_is_told_without_it(own: Postgres):
    url = own.url("postgres").replace("finecap@", "finecap:secret@")
    found = only(shared_stores.databases({INDEX: url}), "fail")
    assert "password authentication failed" in found.said
    assert "secret" not in f"{found.said}{found.fix}"


def test_without_shared_stores_there_is_nothing_to_say():
    environ = {TRACKING_URI: "sqlite:///x.db"}
    assert not [*shared_stores.databases(environ), *shared_stores.server(environ)]


def test_server_of_our_version_is_fine(answers: tuple[str, dict[str, object]]):
    found = only(shared_stores.server({TRACKING_URI: answers[0]}), "ok")
    assert "secret" not in found.said


@pytest.mark.parametrize(
    ("status", "version", "said"),
    [(200, "3.0.0", "is 3.0.0, the client here is"), (401, "", "answers 401")],
)
def test_other_server_is_a_warning(
    status: int, version: str, said: str, answers: tuple[str, dict[str, object]]
):
    address, says = answers
    says |= {"status": status, "version": version}
    found = only(shared_stores.server({TRACKING_URI: address}), "warn")
    assert said in found.said
    assert "secret" not in found.said


def test_server_that_is_not_there_is_a_failure():
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    found = only(shared_stores.server({TRACKING_URI: uri}), "fail")
    assert "does not answer" in found.said
    assert "secret" not in found.said
