"""compose.yaml, as far as reading it can tell: what `make up STACK=postgres` runs, and hardened.

`compose_file` says what Docker Compose takes. Where that is installed, it reads the file too;
nothing is started anywhere.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from dagster_project import stack
from dagster_project.home import DAGSTER, MLFLOW, POSTGRES, SEARCH, STACK_PORTS
from dagster_project.installation import VARIABLES
from dagster_project.servers import Server
from finecap.config import load_profile
from tests.compose_file import File

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(set(SERVICES) - {"postgres"})
EVERYWHERE = "0.0.0.0"  # noqa: S104  of the container's own network
OTHERS = {
    *("HOME", "DAGSTER_HOME", "PGPASSWORD", "POSTGRES_PASSWORD", "POSTGRES_USER"),
    *("POSTGRES_INITDB_ARGS", "DO_NOT_TRACK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
"""Variables of libpq, PostgreSQL's image, Dagster and AWS."""


def test_file_is_one_that_compose_takes():
    read = File.model_validate(COMPOSE)
    assert set(read.services) == set(SERVICES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["services"]["code"].update(helthcheck={}), "code.helthcheck\n.*not permitted"),
        (lambda c: c["services"]["code"].update(user="root"), "code.user\n.*match pattern"),
        (lambda c: c["services"]["code"].update(user="0:0"), "code.user\n.*match pattern"),
        (lambda c: c["services"]["mlflow"].update(ports=["5000:5000"]), "ports.0\n.*match pattern"),
        (lambda c: c["services"]["code"].update(read_only=False), "read_only\n.*should be True"),
        (
            lambda c: c["services"]["code"].update(image="finecap-pipeline"),
            "image\n.*match pattern",
        ),
        (lambda c: c["services"]["code"].update(stop_grace_period="2 min"), "stop_grace_period\n"),
        (lambda c: c["services"]["code"].update(restart="on-failur"), "restart\n"),
        (lambda c: c["services"]["code"]["healthcheck"].update(retries="4"), "valid integer"),
        (lambda c: c["services"]["code"]["healthcheck"].update(test=["CMD"]), "CMD and a program"),
        (lambda c: c["services"]["code"]["environment"].update(PORT=4000), "valid string"),
        (
            lambda c: c["services"]["search"].update(volumes=["hme:/app/var"]),
            "volumes: used .*'hme'",
        ),
        (lambda c: c["volumes"].update(unused={}), "declared .*'unused'"),
        (lambda c: c["services"]["search"].update(networks=["other"]), "networks: used .*'other'"),
        (
            lambda c: c["services"]["code"].update(
                depends_on={"x": {"condition": "service_healthy"}}
            ),
            "code waits for x, which is no service",
        ),
        (
            lambda c: c["services"]["mlflow"]["depends_on"].update(
                databases={"condition": "service_healthy"}
            ),
            "databases has no healthcheck",
        ),
        (
            lambda c: c["services"]["mlflow"]["depends_on"].update(
                webserver={"condition": "service_healthy"}
            ),
            "webserver -> .* never starts",
        ),
    ],
)
def test_slip_is_found(change: Callable[[dict[str, Any]], object], said: str):
    wrong = deepcopy(COMPOSE)  # a shared part is changed wherever it stands
    change(wrong)
    with pytest.raises(ValidationError, match=said):
        File.model_validate(wrong)


def environment(service: str) -> dict[str, Any]:
    return SERVICES[service].get("environment", {})


def command(server: Server) -> list[str]:
    """A server's command as a container has it."""
    program, *rest = server.command
    return [Path(program).name, *(part.replace(str(ROOT), "/app") for part in rest)]


@pytest.mark.parametrize(
    ("service", "server"),
    [
        ("mlflow", stack.mlflow({}, EVERYWHERE)),
        ("code", stack.code(EVERYWHERE)),
        ("webserver", stack.webserver(EVERYWHERE)),
        ("daemon", stack.daemon()),
    ],
)
def test_commands_are_those_of_the_stack_of_plain_processes(service: str, server: Server):
    assert SERVICES[service]["command"] == command(server)


def test_search_is_given_what_follows_its_entry_point():
    assert ["finecap", *SERVICES["search"]["command"]] == command(stack.search(EVERYWHERE))
    assert 'ENTRYPOINT ["finecap"]' in (ROOT / "Dockerfile").read_text()


def test_ports_are_those_of_the_table():
    published = {name: SERVICES[name].get("ports", []) for name in SERVICES}
    for name, port in (("webserver", DAGSTER), ("mlflow", MLFLOW), ("search", SEARCH)):
        assert published.pop(name) == [f"127.0.0.1:${{{port.variable}:-{port.usual}}}:{port.usual}"]
    assert not any(published.values())
    assert {f"@postgres:{POSTGRES.usual}/"} == set(re.findall(r"@postgres:\d+/", TEXT))


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_hardened(service: str):
    said = SERVICES[service]
    assert said["user"].split(":")[0] not in {"root", "0"}
    assert said["read_only"]
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in said
    assert all(place.partition(":")[0].startswith("/") for place in said["tmpfs"])


@pytest.mark.parametrize("service", SERVICES)
def test_image_is_pinned_and_one_from_elsewhere_by_digest(service: str):
    image = SERVICES[service]["image"]
    if image.startswith("finecap-"):
        assert re.fullmatch(r"finecap-(pipeline|search):\d+\.\d+\.\d+", image)
    else:
        assert re.search(r":[\d.]+-[\w-]+@sha256:[0-9a-f]{64}$", image)


def test_images_of_ours_are_built_once_each():
    built = [said["image"] for said in SERVICES.values() if "build" in said]
    assert sorted(built) == ["finecap-pipeline:0.1.0", "finecap-search:0.1.0"]
    targets = {said["build"]["target"] for said in SERVICES.values() if "build" in said}
    assert targets == {"pipeline", "search"}


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"databases"}))
def test_every_server_says_how_it_is(service: str):
    asked = SERVICES[service]["healthcheck"]["test"]
    assert asked[0] == "CMD"
    if "dagster_project.ready" in asked:
        (found,) = [
            server.ready
            for server in (stack.mlflow({}), stack.code(), stack.webserver(), stack.search())
            if server.ready == asked[-1]
        ]
        assert found


def test_what_others_need_is_waited_for():
    for service, said in SERVICES.items():
        for other, how in said.get("depends_on", {}).items():
            wanted = "healthy" if "healthcheck" in SERVICES[other] else "completed_successfully"
            assert how == {"condition": f"service_{wanted}"}, (service, other)
    assert all("depends_on" in SERVICES[service] for service in OURS)


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_one_that_somebody_reads(service: str):
    read = VARIABLES | OTHERS
    for name in environment(service):
        is_known = name in read or name.startswith(("MLFLOW_", "DAGSTER_DISABLE"))
        assert is_known, name


def test_variables_that_a_person_may_set_are_known():
    asked = set(re.findall(r"\$\{(\w+)", TEXT)) - {"POSTGRES_PASSWORD"}
    ours = {name for name in asked if name.startswith("FINECAP_")}
    assert ours <= VARIABLES
    assert {port.variable for port in STACK_PORTS} & ours
    assert all(name.startswith("MLFLOW_") for name in asked - ours)


def test_no_password_is_written_and_none_is_in_an_address():
    for service in SERVICES:
        for name, value in environment(service).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
                assert value is None or re.fullmatch(r"\$\{\w+(:-|:\?[^}]+)\}", str(value)), name
            assert not re.search(r"://[^/]*:[^/]*@", str(value)), name
    assert TEXT.count("${POSTGRES_PASSWORD:?") == TEXT.count("${POSTGRES_PASSWORD")


def test_volumes_are_declared_and_the_search_cannot_write():
    used = {mount.split(":")[0] for said in SERVICES.values() for mount in said["volumes"]}
    assert used == set(COMPOSE["volumes"])
    assert SERVICES["search"]["volumes"] == ["home:/app/var:ro"]


def test_the_database_is_reached_from_these_containers_alone():
    assert SERVICES["postgres"]["networks"] == ["stores"]
    assert COMPOSE["networks"]["stores"] == {"internal": True}


def test_profile_of_containers_is_there_and_keeps_data_in_the_volume():
    named = re.search(r"FINECAP_PROFILE:-/app/([\w/.]+)}", TEXT)
    assert named
    profile = load_profile(str(ROOT / named[1]))
    assert profile.data.folder.startswith("var/")
    assert profile.data.pointer.startswith("var/")
    assert profile.model_copy(update={"data": load_profile("scenes").data}) == load_profile(
        "scenes"
    )


def docker_compose() -> list[str]:
    """The command of Docker Compose, where there is one."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        return ["docker", "compose"] if asked.returncode == 0 else []
    return []


@pytest.mark.skipif(not docker_compose(), reason="no Docker Compose to read the file by")
@pytest.mark.parametrize("password", ["", "chosen"])
def test_docker_compose_reads_it_and_wants_a_password(password: str):
    asked = subprocess.run(
        [*docker_compose(), "--file", str(ROOT / "compose.yaml"), "config", "--quiet"],
        env={**os.environ, "POSTGRES_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (asked.returncode == 0) == bool(password), asked.stderr
    assert password or "POSTGRES_PASSWORD" in asked.stderr
