"""Runs of stages on the tiny world, as one process or as those that `torchrun` starts.

`python -m tests.finecap.training.launched RUNS.json`: plays each run in turn and writes what it
reported into `<out>/<name>-<rank>.json`. A run can send itself a signal, which is how it is killed
at a step of the test's choosing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from finecap.config import MleConfig, ScstConfig
from finecap.data.records import read_records
from finecap.lock import InUseError
from finecap.models.folder import ModelFolderError
from finecap.training import loop, mle, scst
from finecap.training.checkpoint import TrainingInterrupted
from finecap.training.processes import Processes, joined

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Run:
    """One run of a stage."""

    name: str
    stage: str
    config: dict[str, Any]
    inputs: dict[str, str]  # of the tiny world
    out: str
    checkpoints: str | None = None  # may say {rank}
    signal: tuple[int, int, int] | None = None  # rank, step, number

    @property
    def model(self) -> Path:
        """Where the captioner goes."""
        return Path(self.out) / self.name

    def report(self, rank: int = 0) -> dict[str, Any]:
        """What that process reported."""
        return json.loads((Path(self.out) / f"{self.name}-{rank}.json").read_text())


def inputs_of(tiny: SimpleNamespace) -> dict[str, str]:
    """What of the tiny world a run reads."""
    records = tiny.folder / "captions.jsonl"
    folders = {name: str(getattr(tiny, name)) for name in ("mle", "features", "encoder")}
    return {"records": str(records), **folders}


def launch(runs: Sequence[Run], count: int = 2) -> subprocess.CompletedProcess[str]:
    """Play the runs by `count` processes."""
    spec = Path(runs[0].out) / "runs.json"
    spec.write_text(json.dumps([asdict(run) for run in runs]))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program = ["--nproc-per-node", str(count), "-m", __name__, str(spec)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "text": True}
    return subprocess.run([*torchrun, *program], check=False, capture_output=True, **options)


def play(run: Run, processes: Processes) -> dict[str, Any]:
    """The run's metrics, those of each step, its lines, and how it ended."""
    steps: list[dict[str, float]] = []
    lines: list[str] = []

    class Recorded(loop.Loop):
        def step(self, *arguments: Any) -> dict[str, float]:
            steps.append(super().step(*arguments))
            at = (processes.rank, self.step_count)
            if run.signal is not None and tuple(run.signal[:2]) == at:
                os.kill(os.getpid(), run.signal[2])
            return steps[-1]

    mle.Loop = scst.Loop = Recorded
    try:
        metrics = _train(run, processes, lambda message, *_, **__: lines.append(message))
        ended = "whole"
    except (TrainingInterrupted, ModelFolderError, InUseError) as error:
        metrics, ended = {}, str(error)
    finally:
        mle.Loop = scst.Loop = loop.Loop
    return {"metrics": metrics, "steps": steps, "lines": lines, "ended": ended}


def _train(run: Run, processes: Processes, log: Any) -> dict[str, Any]:
    records = read_records(Path(run.inputs["records"]))
    folders = {name: Path(folder) for name, folder in run.inputs.items()}
    kept = Path(run.checkpoints.format(rank=processes.rank)) if run.checkpoints else None
    run.model.mkdir(exist_ok=True)
    if run.stage == "mle":
        own = (folders["features"], records, MleConfig(**run.config))
        return mle.train_mle(*own, run.model, log, kept, processes)
    if run.stage == "average":
        numbers = [torch.tensor([processes.rank, 3.0]), torch.tensor(10.0 * processes.rank)]
        processes.average(numbers)
        return {"pair": numbers[0].tolist(), "one": numbers[1].item()}
    inputs = (folders["mle"], folders["features"], records, folders["encoder"])
    return scst.train_scst(*inputs, ScstConfig(**run.config), run.model, log, kept, processes)


def main() -> None:
    with joined() as processes:
        for values in json.loads(Path(sys.argv[1]).read_text()):
            run = Run(**values)
            report = Path(run.out) / f"{run.name}-{processes.rank}.json"
            report.write_text(json.dumps(play(run, processes)))


if __name__ == "__main__":
    main()
