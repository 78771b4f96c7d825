"""CPU seconds and peak memory, measured so that two machines or two commits can be compared.

CPU seconds, not wall time: neighbours on a shared machine then count for little. Peak memory in a
process of its own: a peak never falls, so one process can show one peak only. What stays out: what
is measured (`bench_*.py`) and how it is shown (`__main__.py`). No module is imported here that
starts threads of its own: their number must be set before such a module is.
"""

import gc
import importlib
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from dagster_project.home import DEFAULT_PROFILE, home_of

T = TypeVar("T")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def use_threads(threads: int) -> None:
    """Let this process compute on so many threads.

    The variables count for libraries that are imported later, and for child processes; torch is
    told even when it is there already.
    """
    os.environ |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def cpu_seconds(work: Callable[[], object], repeats: int = 5, *, threads: int = 1) -> float:
    """Processor time of one call, user and system, summed over threads: the best of `repeats`.

    The best, because whatever disturbs a measurement makes it longer. A call that is not measured
    goes first and fills caches; `cpu_seconds_once` is for what is paid once.
    """
    return cpu_seconds_of({"work": work}, repeats, threads=threads)["work"]


def cpu_seconds_of(
    works: Mapping[str, Callable[[], object]], repeats: int = 5, *, threads: int = 1
) -> dict[str, float]:
    """`cpu_seconds` of several, which take turns: a slow minute hits them all, not one."""
    use_threads(threads)
    best = dict.fromkeys(works, float("inf"))
    for turn in range(repeats + 1):
        for name, work in works.items():
            seconds = cpu_seconds_once(work)
            if turn:  # the first one warms up
                best[name] = min(best[name], seconds)
    return best


def cpu_seconds_once(work: Callable[[], object]) -> float:
    """Processor time of this one call, whatever is cold included."""
    gc.collect()  # what others left behind is not this one's to clear
    started = time.process_time()
    work()
    return time.process_time() - started


def peak_gb(work: Callable[..., object], *args: object, threads: int = 1) -> float:
    """Peak resident memory, in 10^9 bytes, of a fresh process that does nothing but `work(*args)`.

    All of the process is counted: interpreter, imported libraries, and pages of mapped files that
    were touched. Not counted: memory of a GPU, and of processes that `work` starts. Subtract the
    peak of a call that only imports to see what the work itself needs.

    Args:
        work: a function at the top of a module, which the fresh process imports by name.
        args: what it is called with; must be picklable, and is better small.
        threads: of the fresh process.
    """
    return fresh(_peak_after, work, args, threads=threads)


def fresh(work: Callable[..., T], *args: object, threads: int = 1) -> T:
    """What `work(*args)` returns in a process started for it, not forked from this one."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=use_threads, initargs=(threads,)) as pool:
        return pool.submit(work, *args).result()


def _peak_after(work: Callable[..., object], args: tuple[object, ...]) -> float:
    work(*args)
    status = Path("/proc/self/status")
    if status.is_file():
        # Not `ru_maxrss`: on Linux a child inherits that of the process it was started by.
        line = next(li for li in status.read_text().splitlines() if li.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9  # macOS: bytes


def machine() -> dict[str, object]:
    """Processor, versions, date and commit; `dirty` where the sources differ from that commit."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


@dataclass(frozen=True)
class Result:
    """The figures of one benchmark and what they were measured on."""

    name: str
    asked: str  # the benchmark's docstring
    figures: dict[str, object]
    threads: int
    machine: dict[str, object] = field(default_factory=machine)

    def write(self, folder: Path | None = None) -> Path:
        """Into `<name>.json`, whole or not at all: figures, and beside them `about`.

        Args:
            folder: default `results_folder()`.

        Raises:
            TypeError: a figure that JSON has no form for.
        """
        folder = folder or results_folder()
        about = {key: value for key, value in asdict(self).items() if key != "figures"}
        text = json.dumps({**self.figures, "about": about}, indent=2, allow_nan=False) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{self.name}.json.{os.getpid()}.partial"
        partial.write_text(text)
        return partial.replace(folder / f"{self.name}.json")


class NotMeasurable(RuntimeError):  # noqa: N818 reads as what happened
    """This machine lacks what a benchmark measures; says what. No figure is written."""


def results_folder() -> Path:
    """`$FINECAP_HOME/bench`, without that variable `./var/bench`."""
    return home_of(DEFAULT_PROFILE).path / "bench"


def measured(name: str, threads: int) -> Result:
    """The figures of `bench_<name>.py`, run in this process, which has so many threads.

    Raises:
        NotMeasurable: not on this machine.
    """
    module = importlib.import_module(f"tests.benchmarks.bench_{name}")
    return Result(name, (module.__doc__ or "").strip(), module.run(), threads)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
