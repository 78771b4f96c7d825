"""Servers as child processes: started, waited for, watched, and stopped together.

Each has a process group of its own, so that its children stop with it. What is started, and in
which order, is `stack`'s business.
"""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, Self

from dagster_project.home import Port
from dagster_project.ready import is_ready

READY_S = 300.0
"""For a server to answer: a busy machine imports for a minute."""
STOP_S = 10.0
POLL_S = 0.3
LAST_LINES = 10


class ServerError(RuntimeError):
    """A server cannot be had: it ended, does not answer, or has no port."""


@dataclass(frozen=True)
class Server:
    """What is to be started."""

    name: str  # as people call it
    command: Sequence[str]
    ready: str | Callable[[], bool]  # an address that `ready` knows, or what says so
    environment: Mapping[str, str] = field(default_factory=dict)  # besides ours
    user: str | None = None  # to run as
    log: Path | None = None  # of what it says; otherwise it says it to our terminal


@dataclass(frozen=True)
class Running:
    """A server that was started."""

    server: Server
    process: "subprocess.Popen[bytes]"

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        ready = self.server.ready
        return is_ready(ready) if isinstance(ready, str) else ready()

    @property
    def end(self) -> str:
        """How it ended, and what it said last where that was kept."""
        code = self.process.returncode
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {_name(-code)}"
        log = self.server.log
        if log is None:
            return f"{self.server.name} {how}"
        last = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        return f"{self.server.name} {how}; all it said is in {log}, last:\n{last}"


class Servers:
    """Child processes that stop when the block ends, those started last first.

    Args:
        folder: that they work in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._groups: list[list[Running]] = []

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop whatever runs."""
        for group in reversed(self._groups):
            _stop(group)

    def start(self, *servers: Server) -> None:
        """Start servers side by side, and wait until each answers.

        Raises:
            ServerError: one ended, or does not answer in time.
        """
        group: list[Running] = []
        self._groups.append(group)
        # One by one: what was started is stopped also where the next cannot be.
        group.extend(Running(server, self._started(server)) for server in servers)
        deadline = time.monotonic() + READY_S
        waiting = list(group)
        while waiting:
            self.check()
            waiting = [running for running in waiting if not running.is_ready]
            if waiting and time.monotonic() > deadline:
                names = ", ".join(running.server.name for running in waiting)
                raise ServerError(f"{names}: no answer within {READY_S:.0f} s")
            if waiting:
                time.sleep(POLL_S)

    def check(self) -> None:
        """Look whether all still run.

        Raises:
            ServerError: one has ended; says how, and what it said last.
        """
        for group in self._groups:
            for running in group:
                if running.process.poll() is not None:
                    raise ServerError(running.end)

    def watch(self) -> NoReturn:
        """Wait until one ends.

        Raises:
            ServerError: one has.
        """
        while True:
            self.check()
            time.sleep(POLL_S)

    def _started(self, server: Server) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "VIRTUAL_ENV": str(Path(sys.executable).parent.parent),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **server.environment,
        }
        said: IO[bytes] | None = None
        if server.log is not None:
            server.log.parent.mkdir(parents=True, exist_ok=True)
            said = server.log.open("ab")
        try:
            return subprocess.Popen(  # noqa: S603  our own commands
                server.command,
                cwd=self._folder,
                env=environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
                user=server.user,
                group=group_of(server.user),
                extra_groups=None if server.user is None else (),
            )
        finally:
            if said is not None:
                said.close()


def group_of(user: str | None) -> int | None:
    """The group that a program runs in as that user; None for the user we are."""
    return None if user is None else pwd.getpwnam(user).pw_gid


def check_ports(ports: Sequence[Port]) -> None:
    """Look whether every port can be had.

    Raises:
        ServerError: another program listens at one.
    """
    for port in ports:
        number = port.number()
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", number)) == 0:
                raise ServerError(
                    f"port {number} of {port.server} is taken by another program: end that, or "
                    f"choose another port by {port.variable}"
                )


def _stop(group: Sequence[Running]) -> None:
    """Ask each process group to end, and make sure."""
    for running in group:
        _signal(running, signal.SIGINT)
    deadline = time.monotonic() + STOP_S
    for running in group:
        try:
            running.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(running, signal.SIGKILL)
            running.process.wait()


def _signal(running: Running, number: int) -> None:
    """Send a signal to the server's group, which may have ended already."""
    try:
        os.killpg(running.process.pid, number)
    except ProcessLookupError:
        return


def _name(number: int) -> str:
    return signal.Signals(number).name
