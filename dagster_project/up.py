"""`python -m dagster_project.up`: Dagster, MLflow and the search page of one profile, together.

The servers are child processes; their addresses are said when all answer. Ctrl-C, or the end of
any, stops all. Ports are `home`'s. `--stack postgres` serves the home as a team's servers would.
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from dagster_project.home import (
    DAGSTER,
    MLFLOW,
    MODEL_TRAINING,
    SEARCH,
    Home,
    HomeError,
    home_of,
    profile_in,
)
from dagster_project.object_store import ObjectStoreError
from dagster_project.run import prepare, say
from dagster_project.servers import ServerError, Servers, check_ports
from dagster_project.stack import ENVIRONMENT, STACKS, Stack
from finecap.config import Profile, load_profile
from finecap.lock import InUseError, locked

_ADVICE = "`make up` serves it already. Ctrl-C there, or an end to that process, stops it"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; 0 then, else 1."""
    stack = STACKS[_options(arguments).stack]
    profile = load_profile(profile_in())
    home = home_of(profile.name)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with locked(home.path / "up.lock", str(home.path), _ADVICE):
            serve(stack, home, profile)
    except KeyboardInterrupt:
        return 0
    except (ServerError, ObjectStoreError, InUseError, HomeError) as error:
        sys.stderr.write(f"make up: {error}\n")
    return 1


def serve(stack: Stack, home: Home, profile: Profile) -> NoReturn:
    """Serve until interrupted, or until one of the servers ends.

    Raises:
        ServerError: one of them cannot be had, or has ended.
        ObjectStoreError: the store for artifacts does not let us in.
    """
    check_ports(stack.ports)
    os.environ.update(stack.environment(home))
    prepare(home, profile)
    with Servers(home.root) as servers:
        for group in stack.servers(home):
            say(f"starting {', '.join(server.name for server in group)}")
            servers.start(*group)
        say(_welcome(stack, home, profile))
        servers.watch()


def _welcome(stack: Stack, home: Home, profile: Profile) -> str:
    """Where everything is."""
    lines = [
        f"profile {profile.name}, state in {home.path}",
        f"Dagster  {DAGSTER.address()}",
        f"MLflow   {MLFLOW.address()}/#/experiments?{MODEL_TRAINING}",
        f"search   {SEARCH.address()}",
    ]
    if stack is not STACKS["local"]:
        file = shlex.quote(str(home.stack / ENVIRONMENT))
        lines.append(f"commands in another terminal: `. {file}` first, then e.g. `make run`")
    return "\n".join([*lines, "Ctrl-C stops all"])


def _interrupt(*_: object) -> None:
    """Treat a polite kill, and a terminal that is closed, like Ctrl-C."""
    raise KeyboardInterrupt


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dagster_project.up", description=__doc__)
    parser.add_argument("--stack", choices=list(STACKS), default="local")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
