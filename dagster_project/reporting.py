"""What a stage says while it runs: lines to Dagster, metrics to MLflow and to its history.

The history of a training lies in a file from the first row on, so that one that was killed and is
gone on with has one history and one MLflow run, without a hole and without a step twice. Steps
between the last checkpoint and the end by force are taken again; their rows are those that the
interrupted attempt reported already (on a CPU to the last bit), and are dropped.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from dagster_project.tracked_run import TrackedRun, as_training
from finecap.log import Log

LOG_EVERY_S = 1.0


class History:
    """Metrics by step, as training reported them.

    Args:
        file: JSON Lines that outlive this process, with the rows of the attempts before; None: the
            history is as long-lived as this object.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file, self.rows = file, list[Mapping[str, float]]()
        if file is not None and file.is_file():
            # A line without its end is one that a kill cut off.
            whole = file.read_text().rpartition("\n")[0]
            self.rows = [json.loads(line) for line in whole.splitlines()]
            partial = file.with_name(f"{file.name}.partial")
            partial.write_text("".join(f"{json.dumps(row)}\n" for row in self.rows))
            partial.replace(file)
        self._earlier = {_place(row) for row in self.rows}

    def add(self, row: Mapping[str, float]) -> bool:
        """Take a row; False where an attempt before reported those metrics of that step."""
        if _place(row) in self._earlier:
            return False
        self.rows.append(row)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as stream:
                stream.write(f"{json.dumps(row)}\n")
                stream.flush()
                os.fsync(stream.fileno())  # all there is of it while MLflow does not answer
        return True

    def replay(self, run: TrackedRun) -> None:
        """Log all rows to a run."""
        for row in self.rows:
            log_row(run, row)


def log_row(run: TrackedRun, row: Mapping[str, float]) -> None:
    """Log a row of a history to a run."""
    metrics = {name: value for name, value in row.items() if name != "step"}
    run.log(int(row["step"]), as_training(metrics))


def reporter(
    context: dg.AssetExecutionContext, history: History, run: TrackedRun | None = None
) -> Log:
    """A `log` callback: lines to Dagster, metrics to the history and to MLflow.

    Lines of steps are thinned to one a second, because each is a row of Dagster's event log.
    """
    shown_at = 0.0
    counts: dict[str, int] = {}

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        nonlocal shown_at
        if metrics:
            first = next(iter(metrics))
            counts[first] = counts.get(first, -1) + 1
            at = counts[first] if step is None else step
            row = {"step": float(at), **{name: float(value) for name, value in metrics.items()}}
            if history.add(row) and run is not None:
                log_row(run, row)
        if step is None or time.monotonic() - shown_at > LOG_EVERY_S:
            shown_at = time.monotonic()
            numbers = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
            at = "" if step is None else f"step {step} "
            context.log.info(f"{at}{message} {numbers}".rstrip())

    return log


def _place(row: Mapping[str, float]) -> tuple[float, frozenset[str]]:
    """What tells rows apart: their step, and their metrics, for phases count from 1 each."""
    return row["step"], frozenset(row)
