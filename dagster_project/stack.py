"""Which servers `make up` starts, in which order: a person's, or a team's on one machine.

`local` is SQLite and files. `postgres` is the topology of `compose.yaml` as plain processes: all
state but artifacts in PostgreSQL, MLflow behind its server, Dagster's webserver, daemon and code
location apart. A stack yields servers that start side by side; the next come when these answer.
"""

import json
import os
import shlex
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dagster_project import postgres as database
from dagster_project.home import (
    BACKEND_URI,
    CODE,
    DAGSTER,
    MLFLOW,
    PORTS,
    POSTGRES,
    SEARCH,
    STACK_PORTS,
    Home,
    Port,
)
from dagster_project.instance import DRIVER, STORAGE
from dagster_project.object_store import DESTINATION, ROOT, destination
from dagster_project.postgres import Postgres
from dagster_project.ready import TIMEOUT_S
from dagster_project.servers import Server
from finecap.search.engines import URL_VARIABLE

HERE = "127.0.0.1"
LOCATION = "dagster_project.definitions"
WORKSPACE = Path(__file__).with_name("workspace.yaml")
CODE_HOST = "FINECAP_CODE_HOST"
ENVIRONMENT = "env"
"""File below `stack` whose variables lead every command to the team's stores."""
_HEARTBEATS = "{instance{daemonHealth{allDaemonStatuses{required healthy lastHeartbeatTime}}}}"


@dataclass(frozen=True)
class Stack:
    """A way to serve a home."""

    ports: Sequence[Port]
    environment: Callable[[Home], Mapping[str, str]]  # by which all else finds its stores
    servers: Callable[[Home], Iterator[Sequence[Server]]]


def local(home: Home) -> Iterator[Sequence[Server]]:
    """Dagster, MLflow and the search page on the home folder's files."""
    yield dagster(), own_mlflow(home), search()


def postgres(home: Home) -> Iterator[Sequence[Server]]:
    """What `compose.yaml` runs, the database included."""
    from dagster_project.databases import create, upgrade, urls

    own, kept = Postgres(home, POSTGRES.number()), destination(_artifacts(home))
    yield (own.server(),)
    backend = {BACKEND_URI: own.url(database.MLFLOW)}
    for url in urls({**os.environ, **backend}):
        create(url)
    upgrade()
    yield mlflow({**backend, DESTINATION: kept}), code()
    yield webserver(), daemon(), search()


def addresses(home: Home) -> dict[str, str]:
    """What leads every command to the servers of `postgres`; kept in the home folder as well."""
    own = Postgres(home, POSTGRES.number())
    found = {
        STORAGE: own.url(database.DAGSTER, DRIVER),
        URL_VARIABLE: own.url(database.INDEX),
        "MLFLOW_TRACKING_URI": f"http://{HERE}:{MLFLOW.number()}",
        **own.environment,
    }
    home.stack.mkdir(parents=True, exist_ok=True)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in found.items()]
    (home.stack / ENVIRONMENT).write_text("".join(lines))
    return found


STACKS: Mapping[str, Stack] = {
    "local": Stack(PORTS, lambda _: {}, local),
    "postgres": Stack(STACK_PORTS, addresses, postgres),
}


def dagster() -> Server:
    """Webserver and daemon, which ticks schedules and sensors, on our code location."""
    location = ["--no-check-yaml", "--use-active-venv", "--log-level", "warning"]
    command = [_program("dg"), "dev", *_at(HERE, DAGSTER), *location]
    return Server(DAGSTER.server, command, _page(DAGSTER, "server_info"))


def own_mlflow(home: Home) -> Server:
    """The tracking server on the home's own files, which commands reach without it, too."""
    home.mlflow.mkdir(parents=True, exist_ok=True)
    store = {BACKEND_URI: f"sqlite:///{home.tracking_store}"}
    return mlflow({**store, ROOT: _artifacts(home).as_uri()})


def mlflow(places: Mapping[str, str], host: str = HERE) -> Server:
    """The tracking server; one worker, since few people look.

    Args:
        places: of its database and of artifacts. In its environment: other users of this machine
            read command lines.
        host: that it listens at.
    """
    command = [_program("mlflow"), "server", *_at(host, MLFLOW), "--workers", "1"]
    # Its background jobs serve tracing, which nothing here uses.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **places}
    return Server(MLFLOW.server, command, _page(MLFLOW, "health"), environment)


def search(host: str = HERE) -> Server:
    """The search page; it waits for the index where there is none yet."""
    command = [_program("finecap"), "serve", *_at(host, SEARCH)]
    return Server(SEARCH.server, command, _page(SEARCH, "healthz"))


def code(host: str = HERE) -> Server:
    """Our definitions, which start runs too."""
    command = [
        *(_program("dagster"), "code-server", "start", *_at(host, CODE)),
        *("--module-name", LOCATION, "--log-level", "warning"),
    ]
    return Server(CODE.server, command, f"grpc://{HERE}:{CODE.number()}")


def webserver(host: str = HERE, location: str = HERE) -> Server:
    """Dagster's pages."""
    command = [
        *(_program("dagster-webserver"), *_at(host, DAGSTER), "--workspace", str(WORKSPACE)),
        *("--log-level", "warning"),
    ]
    return Server(DAGSTER.server, command, _page(DAGSTER, "server_info"), _location(location))


def daemon(location: str = HERE) -> Server:
    """What ticks schedules and sensors, and takes runs from the queue."""
    command = [
        *(_program("dagster-daemon"), "run", "--workspace", str(WORKSPACE)),
        *("--log-level", "warning"),
    ]
    return Server("Dagster's daemon", command, partial(_beats, time.time()), _location(location))


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _at(host: str, port: Port) -> list[str]:
    return ["--host", host, "--port", str(port.number())]


def _location(host: str) -> dict[str, str]:
    """What `workspace.yaml` asks for."""
    return {CODE_HOST: host, CODE.variable: str(CODE.number())}


def _page(port: Port, path: str) -> str:
    return f"http://{HERE}:{port.number()}/{path}"


def _artifacts(home: Home) -> Path:
    return home.mlflow / "artifacts"


def _beats(since: float) -> bool:
    """Whether all that the daemon must do has been seen at work since then, as the pages show."""
    asked = urllib.request.Request(  # noqa: S310  http
        _page(DAGSTER, "graphql"),
        json.dumps({"query": _HEARTBEATS}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            said = json.load(answer)
    except OSError:
        return False
    found = said["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(
        one["healthy"] and (one["lastHeartbeatTime"] or 0.0) >= since
        for one in found
        if one["required"]
    )
