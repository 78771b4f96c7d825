"""`python -m dagster_project.worker TASK.json`: one of the processes that train a model together.

`torchrun` starts them on behalf of `launch`. A task says in JSON what is trained, of what, and into
which folder; it is also how a stage trains in the asset's own process, so that both ways are one.
All processes write their progress to stderr; the first sends it through Dagster Pipes as well, then
the final metrics. Once whoever started them is gone, their stdin ends: they save their step and
end, and leave the checkpoints to the next.

Imports nothing of Dagster's but the Pipes client, since each process pays for what it imports.
"""

import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from finecap.config import MleConfig, ScstConfig
from finecap.log import Log, print_log

if TYPE_CHECKING:
    from finecap.training.processes import Processes

_STDIN = 0


class Task(BaseModel, ABC):
    """What is trained, of what, and into which folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: Path
    records: Path  # JSON Lines
    destination: Path
    checkpoints: Path

    @abstractmethod
    def run(self, log: Log, processes: "Processes") -> dict[str, float]:
        """Train; the metrics."""


class MleTask(Task):
    """Maximum likelihood."""

    stage: Literal["mle"] = "mle"
    config: MleConfig
    encoder: Path  # that made the features

    def run(self, log: Log, processes: "Processes") -> dict[str, float]:
        """Train; the metrics."""
        from finecap.data.records import read_records
        from finecap.training.mle import train_mle

        return train_mle(
            self.features,
            read_records(self.records),
            self.config,
            self.destination,
            log,
            self.checkpoints,
            processes,
            self.encoder,
        )


class ScstTask(Task):
    """Self-critical sequence training."""

    stage: Literal["scst"] = "scst"
    config: ScstConfig
    mle: Path
    encoder: Path

    def run(self, log: Log, processes: "Processes") -> dict[str, float]:
        """Train; the metrics."""
        from finecap.data.records import read_records
        from finecap.training.scst import train_scst

        return train_scst(
            self.mle,
            self.features,
            read_records(self.records),
            self.encoder,
            self.config,
            self.destination,
            log,
            self.checkpoints,
            processes,
        )


TASKS: TypeAdapter[MleTask | ScstTask] = TypeAdapter(
    Annotated[MleTask | ScstTask, Field(discriminator="stage")]
)


def main() -> None:
    """Do the task together with the other processes."""
    task = TASKS.validate_json(Path(sys.argv[1]).read_bytes())
    if PipesEnvVarParamsLoader().is_dagster_pipes_process():
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    from finecap.training.processes import joined

    with joined() as processes, _reporting(processes.is_first) as report:

        def log(message: str, step: int | None = None, **metrics: float) -> None:
            print_log(message, step, **metrics)
            report({"message": message, "step": step, "metrics": metrics})

        print_log(f"process {processes.rank} of {processes.count}, pid {os.getpid()}")
        report({"result": task.run(log, processes)})


@contextmanager
def _reporting(is_first: bool) -> Iterator[Callable[[Any], None]]:
    """What sends a message to the asset; the others' are dropped."""
    if not is_first:
        yield lambda _: None
        return
    with open_dagster_pipes() as pipes:
        yield pipes.report_custom_message


def _end_with_stdin() -> None:
    """Ask this process to end, as `SIGTERM` does, once nobody holds the other end of its stdin."""
    while os.read(_STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
