"""`make up STACK=postgres` is a team's stack: all servers answer, and end together.

The short form starts it, asks each server, and kills the database. `make soak` also has the whole
pipeline run in it, and starts it again.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from dagster_project.home import STACK_PORTS, Home
from dagster_project.ready import is_ready
from dagster_project.stack import ENVIRONMENT
from tests.dagster_project.own_postgres import free_port, open_home
from tests.remote_stores import s3

START_S = 400
IS_SOAK = "FINECAP_CRASHES" in os.environ
_RUN = """
mutation($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename ... on LaunchRunSuccess {run {runId}}
  }
}"""
_STATUS = "query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}"


class Up:
    """The stack of a home, as a process."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.told: dict[str, str] = {}  # variables besides ours
        self.ports = {port.variable: str(free_port()) for port in STACK_PORTS}
        self.output = home.path / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def started(self) -> Iterator[None]:
        """Up, until the block ends."""
        with self.output.open("wb") as said:
            self.process = self._begun(said)
        try:
            deadline = time.monotonic() + START_S
            while "Ctrl-C stops all" not in self.said:
                assert self.process.poll() is None, self.said
                assert time.monotonic() < deadline, self.said
                time.sleep(0.3)
            yield
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)

    def again(self) -> "subprocess.CompletedProcess[str]":
        """A second one, while this one runs."""
        return subprocess.run(
            self._command, env=self._environment, capture_output=True, text=True, check=False
        )

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def variables(self) -> dict[str, str]:
        """What the file for other terminals says."""
        text = (self.home.stack / ENVIRONMENT).read_text()
        return dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))

    def address(self, variable: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.ports[variable]}"

    def ask(self, query: str, **variables: object) -> Any:
        """What Dagster answers."""
        address = f"{self.address('FINECAP_DAGSTER_PORT')}/graphql"
        asked = {"query": query, "variables": variables}
        return httpx.post(address, json=asked, timeout=60).raise_for_status().json()["data"]

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """What is in a database."""
        url = f"postgresql://finecap@127.0.0.1:{self.ports['FINECAP_POSTGRES_PORT']}/{database}"
        with psycopg.connect(url, passfile=self.variables["PGPASSFILE"]) as connection:
            return connection.execute(query.encode()).fetchall()

    def _begun(self, said: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, env=self._environment, stdout=said, stderr=said)

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "dagster_project.up", "--stack", "postgres"]

    @property
    def _environment(self) -> dict[str, str]:
        own = {"FINECAP_HOME": str(self.home.path), "FINECAP_PROFILE": "smoke"}
        return {**os.environ, **self.ports, **own, **self.told}


@pytest.fixture
def up() -> Iterator[Up]:
    with open_home() as home:
        yield Up(home)


@pytest.mark.slow
def test_every_server_answers_and_all_end_with_the_database(up: Up, tmp_path: Path):
    with s3(tmp_path / "s3", "bucket") as store:
        up.told = {"MLFLOW_ARTIFACTS_DESTINATION": "s3://bucket/mlflow", **store.environment}
        _all_answer_and_end(up)
        assert (store.folder / "bucket/mlflow/1/note").read_bytes() == b"kept"
        assert store.secret not in up.said + (up.home.stack / ENVIRONMENT).read_text()


def _all_answer_and_end(up: Up) -> None:
    with up.started():
        assert is_ready(f"{up.address('FINECAP_DAGSTER_PORT')}/server_info")
        assert is_ready(f"{up.address('FINECAP_MLFLOW_PORT')}/health")
        page = httpx.get(up.address("FINECAP_SERVE_PORT"), timeout=60)
        assert "There is no index yet" in page.text
        assert is_ready(up.address("FINECAP_CODE_PORT", "grpc"))
        assert up.rows("dagster", "SELECT count(*) > 0 FROM daemon_heartbeats") == [(True,)]
        assert up.rows("mlflow", "SELECT artifact_location FROM experiments") == [
            ("mlflow-artifacts:/0",)
        ]
        through = "api/2.0/mlflow-artifacts/artifacts/1/note"
        sent = httpx.put(f"{up.address('FINECAP_MLFLOW_PORT')}/{through}", content=b"kept")
        assert sent.is_success, sent.text
        assert up.rows("finecap", "SELECT extname FROM pg_extension WHERE extname = 'vector'")
        found = up.ask("{workspaceOrError {... on Workspace {locationEntries {name}}}}")
        assert found == {"workspaceOrError": {"locationEntries": [{"name": "finecap"}]}}

        second = up.again()
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"in use by process {up.process.pid} on" in second.stderr  # type: ignore[union-attr]

        os.kill(int((up.home.stack / "postgres/postmaster.pid").read_text().split()[0]), 9)
        assert up.process is not None
        assert up.process.wait(120) == 1
        assert "make up: PostgreSQL was ended by SIGKILL; all it said is in" in up.said
    secret = (up.home.stack / "pgpass").read_text().strip().rpartition(":")[2]
    assert secret not in up.said + (up.home.stack / ENVIRONMENT).read_text()
    deadline = time.monotonic() + 60
    while (left := _left(up)) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert not left


@pytest.mark.slow
@pytest.mark.skipif(not IS_SOAK, reason="minutes: `make soak` has the pipeline run in the stack")
def test_a_pipelines_run_models_and_index_are_there_after_a_restart(up: Up):
    keys = {
        "pipelineName": "retrain",
        "repositoryName": "__repository__",
        "repositoryLocationName": "finecap",
    }
    with up.started():
        run_id = up.ask(_RUN, selector=keys)["launchRun"]["run"]["runId"]
        deadline = time.monotonic() + 1800
        while (status := up.ask(_STATUS, id=run_id)["runOrError"]["status"]) not in {
            *("SUCCESS", "FAILURE", "CANCELED"),
        }:
            assert time.monotonic() < deadline
            time.sleep(2)
        assert status == "SUCCESS"
        before = _kept(up)
        os.kill(int((up.home.stack / "postgres/postmaster.pid").read_text().split()[0]), 9)
    with up.started():
        assert _kept(up) == before
        assert up.ask(_STATUS, id=run_id)["runOrError"]["status"] == "SUCCESS"


def _kept(up: Up) -> dict[str, object]:
    """What a pipeline leaves: its run, its models, its index, and what a search answers."""
    asked = f"{up.address('FINECAP_SERVE_PORT')}/api/search?q=a&limit=3"
    found = httpx.get(asked, timeout=120).raise_for_status().json()["hits"]
    kept = {
        "runs": up.rows("dagster", "SELECT status FROM runs"),
        "events": up.rows("dagster", "SELECT count(*) > 100 FROM event_logs"),
        "tracked": up.rows("mlflow", "SELECT status, count(*) FROM runs GROUP BY status"),
        "models": up.rows("mlflow", "SELECT name, version FROM model_versions ORDER BY 1, 2"),
        "builds": up.rows("finecap", "SELECT build_id FROM finecap.builds WHERE finished"),
        "hits": [hit["image"] for hit in found],
    }
    assert kept["runs"] == [("SUCCESS",)]
    assert all(kept.values()), kept
    return kept


def _left(up: Up) -> list[str]:
    """Processes that still work for the home."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(up.home.path) in line]
