"""How an asset trains: in its own process, or by several that `torchrun` starts.

The several report through Dagster Pipes; each line reaches the asset's `log` as if training ran
here. Their stdin is held here: it closes when the asset ends, however it does, and with it they
end, so that no process trains on for an asset that is gone. What a killed process said last is
in the failure, and all of it in `logs` beside its checkpoints, until training is done.

How many there are is a setting like any other and enters the data version, as the parts of a batch
do: sums in another order are another result, be it by a rounding.

Why not `PipesSubprocessClient`: it says of a failure the exit code alone, and hands over messages
when all is over.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired
from threading import Lock
from typing import Any

import dagster as dg

from dagster_project.worker import MleTask, ScstTask
from finecap.log import Log

POLL_S = 0.2
STOP_S = 60.0
"""For the processes to end their step and save it."""
LAST_LINES = 20
_EXIT = re.compile(r"rank\s*: (\d+) .*\n\s*exitcode\s*: (-?\d+)")  # in torchrun's summary


def trained(
    context: dg.AssetExecutionContext, task: MleTask | ScstTask, log: Log
) -> Mapping[str, float]:
    """Do the task by as many processes as its settings say; its metrics."""
    if task.config.processes > 1:
        return _launch(context, task, log)
    from finecap.training.processes import ALONE

    return task.run(log, ALONE)


def _launch(
    context: dg.AssetExecutionContext, task: MleTask | ScstTask, log: Log
) -> Mapping[str, float]:
    """Do the task by several processes.

    Raises:
        dg.Failure: one of them failed or was killed; says what each said last.
    """
    logs = task.checkpoints / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    inbox = Inbox(log)
    with (
        _listening(context, inbox) as session,
        _torchrun(task, logs, session.get_bootstrap_env_vars()) as process,
    ):
        while process.poll() is None:
            inbox.take(session)
            time.sleep(POLL_S)
    if process.returncode != 0 or inbox.result is None:
        name = "/".join(context.asset_key.path)
        raise dg.Failure(
            f"{name}: {_last_words(logs, process.returncode)}\nAll that was said is in {logs}; "
            f"another run goes on from the last checkpoint in {task.checkpoints}"
        )
    return inbox.result


class _Reader(dg.PipesTempFileMessageReader):
    """Reads the messages of the one process that sends any."""

    @property
    def expected_writer_count(self) -> int:
        """One; Dagster's own property warns whoever reads it that it is a preview."""
        return 1


class Inbox:
    """Messages of the first process, handed to `log` once each.

    By another thread: an interrupt breaks off the main thread wherever it is, and a message
    half handed over would be lost, or come twice.
    """

    def __init__(self, log: Log) -> None:
        self.result: Mapping[str, float] | None = None
        self._log, self._taken = log, 0
        self._hands, self._one_at_a_time = ThreadPoolExecutor(), Lock()

    def take(self, session: dg.PipesSession) -> None:
        """Hand over what has come."""
        self._hands.submit(self._take, session).result()

    def close(self) -> None:
        """End the threads."""
        self._hands.shutdown()

    def _take(self, session: dg.PipesSession) -> None:
        with self._one_at_a_time:
            messages: list[Any] = list(session.get_custom_messages())[self._taken :]
            self._taken += len(messages)
            for message in messages:
                if "result" in message:
                    self.result = message["result"]
                else:
                    self._log(message["message"], message["step"], **message["metrics"])


@contextmanager
def _listening(context: dg.AssetExecutionContext, inbox: Inbox) -> Iterator[dg.PipesSession]:
    """A session with processes; what they said last is taken when they are gone, however it ends.

    An interrupted asset's processes still end their step and save it: no checkpoint may hold a step
    that its history lacks.
    """
    ways = (dg.PipesTempFileContextInjector(), _Reader())
    # Of an asset's own context, Dagster reads what it has deprecated.
    opened = dg.open_pipes_session(context.op_execution_context, *ways)
    with ExitStack() as closed, opened as session:
        closed.callback(inbox.close)
        closed.callback(inbox.take, session)
        yield session


@contextmanager
def _torchrun(
    task: MleTask | ScstTask, logs: Path, environment: Mapping[str, str]
) -> Iterator[Popen[bytes]]:
    """The task's processes; at the end of the block those that still run are ended."""
    spec = logs / "task.json"
    spec.write_text(task.model_dump_json(indent=1))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(task.config.processes), "--log-dir", str(logs)),
        *("--redirects", "3", "-m", "dagster_project.worker", str(spec)),
    ]
    with (logs / "torchrun.log").open("wb") as stream:
        # A session of its own: Ctrl-C in a terminal is for the asset, which ends the others.
        process = Popen(  # noqa: S603  our own program
            command,
            stdin=PIPE,
            stdout=stream,
            stderr=STDOUT,
            env={"OMP_NUM_THREADS": "1", **os.environ, **environment},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: Popen[bytes]) -> None:
    """End what still runs: first by its stdin, upon which it saves its step, then by force."""
    assert process.stdin is not None  # noqa: S101  it is a pipe
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except TimeoutExpired:
        process.terminate()  # torchrun gives its processes half a minute more, then kills them
        process.wait()


def _last_words(logs: Path, code: int) -> str:
    """How each process ended, and what it said last; first those that no other has ended."""
    summary = logs / "torchrun.log"
    codes = {int(r): int(c) for r, c in _EXIT.findall(summary.read_text(errors="replace"))}
    files = {int(f.parent.name): f for f in logs.glob("*/attempt_0/*/stderr.log")}
    found = [
        f"process {rank} {_end_of(codes[rank])}; it said last:\n{_tail(files[rank])}"
        for rank in sorted(codes, key=lambda rank: (codes[rank] == -signal.SIGTERM, codes[rank]))
    ]
    return "\n".join(found) or f"torchrun {_end_of(code)}; it said last:\n{_tail(summary)}"


def _end_of(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-LAST_LINES:])
