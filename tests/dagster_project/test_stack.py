"""What the stacks run: every command is there, and no command line holds a secret."""

import re
from pathlib import Path

import pytest
import yaml

from dagster_project import stack
from dagster_project.home import PORTS, STACK_PORTS, Home
from dagster_project.stack import ENVIRONMENT, STACKS, WORKSPACE

TEAM = [stack.mlflow({}), stack.code(), stack.webserver(), stack.daemon(), stack.search()]


@pytest.mark.parametrize("server", TEAM, ids=lambda server: server.name)
def test_every_program_is_installed(server: stack.Server):
    assert Path(server.command[0]).is_file()


def test_local_stack_is_dagster_mlflow_and_search(tmp_path: Path):
    ((dagster, mlflow, search),) = STACKS["local"].servers(Home(tmp_path, tmp_path))
    assert [dagster.name, mlflow.name, search.name] == [port.server for port in PORTS]
    assert mlflow.environment["MLFLOW_BACKEND_STORE_URI"].endswith("mlflow.db")
    assert STACKS["local"].environment(Home(tmp_path, tmp_path)) == {}


def test_file_for_other_terminals_says_where_all_is_and_no_password(tmp_path: Path):
    home = Home(tmp_path, tmp_path / "a home")
    found = STACKS["postgres"].environment(home)
    written = re.findall(r"^export (\w+)=", (home.stack / ENVIRONMENT).read_text(), re.MULTILINE)
    assert written == list(found)
    assert {"FINECAP_DAGSTER_STORAGE", "FINECAP_INDEX_URL", "MLFLOW_TRACKING_URI"} < set(found)
    assert not re.search(r"://[^/]*:[^/]*@", " ".join(found.values()))


def test_workspace_asks_for_what_webserver_and_daemon_are_told():
    (location,) = yaml.safe_load(WORKSPACE.read_text())["load_from"]
    server = location["grpc_server"]
    asked = {server["host"]["env"], server["port"]["env"]}
    assert asked == set(stack.webserver().environment) == set(stack.daemon().environment)
    assert server["location_name"] == "finecap"


def test_ports_are_those_that_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch):
    asked = {port.variable: str(number) for number, port in enumerate(STACK_PORTS, start=40_000)}
    for variable, number in asked.items():
        monkeypatch.setenv(variable, number)
    servers = [stack.mlflow({}), stack.code(), stack.webserver(), stack.search()]
    told = {server.command[server.command.index("--port") + 1] for server in servers}
    awaited = {str(server.ready).split(":")[2].split("/")[0] for server in servers}
    assert told == awaited == set(asked.values()) - {asked["FINECAP_POSTGRES_PORT"]}
    assert asked["FINECAP_CODE_PORT"] in stack.daemon().environment.values()
