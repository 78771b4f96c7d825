"""`python -m dagster_project.up`: Dagster, MLflow and the search page of one profile, together.

Three servers as child processes; Ctrl-C, or the end of any, stops all. Ports come from
`FINECAP_DAGSTER_PORT`, `FINECAP_MLFLOW_PORT` and `FINECAP_SERVE_PORT`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dagster_project.home import (
    DAGSTER,
    MLFLOW,
    MODEL_TRAINING,
    PORTS,
    SEARCH,
    Home,
    home_of,
    profile_in,
)
from dagster_project.run import prepare
from finecap.config import load_profile

_GRACE_S = 10


def main() -> int:
    """Serve until interrupted; 0 then, else the code of the server that ended."""
    profile = load_profile(profile_in())
    home = home_of(profile.name)
    prepare(home, profile)
    dagster, mlflow, search = (str(port.number()) for port in PORTS)
    commands = (_dagster(dagster), _mlflow(home, mlflow), _search(search))
    servers = [_start(command, home) for command in commands]
    sys.stdout.write(
        f"profile {profile.name}, state in {home.path}\n"
        f"Dagster  {DAGSTER.address()}\n"
        f"MLflow   {MLFLOW.address()}/#/experiments?{MODEL_TRAINING}\n"
        f"search   {SEARCH.address()}\n"
        "Ctrl-C stops all\n"
    )
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _wait(servers)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(servers)


def _dagster(port: str) -> list[str]:
    """Webserver and daemon, which ticks schedules and sensors, on our code location."""
    binary = str(Path(sys.executable).with_name("dg"))
    location = ["--no-check-yaml", "--use-active-venv", "--log-level", "warning"]
    return [binary, "dev", "--port", port, *location]


def _mlflow(home: Home, port: str) -> list[str]:
    """The tracking server; one worker, since one person looks."""
    home.mlflow.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{home.tracking_store}"
    places = ["--default-artifact-root", (home.mlflow / "artifacts").as_uri()]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, *places]
    return [*command, "--port", port, "--workers", "1"]


def _search(port: str) -> list[str]:
    """The search page; it waits for the index where there is none yet."""
    return [sys.executable, "-m", "finecap.cli", "serve", "--port", port]


def _start(command: Sequence[str], home: Home) -> "subprocess.Popen[bytes]":
    """A server in a process group of its own, so that its children stop with it."""
    environment = {
        **os.environ,
        # Its background jobs serve tracing, which nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "VIRTUAL_ENV": str(Path(sys.executable).parent.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    return subprocess.Popen(command, cwd=home.root, env=environment, start_new_session=True)  # noqa: S603


def _wait(servers: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Return when a server ends, with its code."""
    while True:
        for server in servers:
            code = server.poll()
            if code is not None:
                return code
        time.sleep(0.5)


def _stop(servers: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask each group to end, and make sure."""
    for server in servers:
        _signal(server, signal.SIGINT)
    deadline = time.monotonic() + _GRACE_S
    for server in servers:
        try:
            server.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(server, signal.SIGKILL)


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to the server's group, which may have ended already."""
    try:
        os.killpg(server.pid, number)
    except ProcessLookupError:
        return


def _interrupt(*_: object) -> None:
    """Treat a polite kill like Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
