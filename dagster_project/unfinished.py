"""What is kept of a training that has not ended, in `<home>/checkpoints/<asset>/<version>/`.

The library's checkpoints lie there and, of ours, the history so far and the MLflow run it went to.
The file `<version>.lock` beside it is held by the process that makes this version: another is
refused before it touches anything. When the asset is finished its folder goes, and so do those of
its other versions: their code, settings or data are not those that people went on to finish. Never
another asset's, and none that anybody holds.

Why a lock here, when the library has its own: the launch's logs, the MLflow run and `force` concern
the folder before training begins, and the processes that train may outlive the asset by a step.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_project.reporting import History
from dagster_project.tracked_run import TrackedRun
from finecap.lock import InUseError, is_locked, locked, refusal

_HISTORY, _RUN, _LOCK = "history.jsonl", "mlflow.json", ".lock"
_LIBRARY_LOCK = "lock"
_VERSION = re.compile("[0-9a-f]{16}")  # as `versions.data_version` makes it


class Unfinished:
    """One version's folder, held by this process; it need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = History(folder / _HISTORY)

    @property
    def run_id(self) -> str | None:
        """The MLflow run that the attempts before reported to, if there were any."""
        note = self.folder / _RUN
        return json.loads(note.read_text())["run_id"] if note.is_file() else None

    def empty(self) -> None:
        """Forget the attempts before."""
        _removed(self.folder)
        self.history = History(self.folder / _HISTORY)

    def report_to(self, run: TrackedRun) -> None:
        """Note the run, and give it what it lacks of the history so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{_RUN}.partial"
        partial.write_text(json.dumps({"run_id": run.run_id}))
        partial.replace(self.folder / _RUN)
        self.history.replay(run)

    def clear(self) -> Iterator[str]:
        """Remove this version's folder, which is finished, and the others'; a line on each."""
        yield f"removed its checkpoints, {_size(_removed(self.folder))} freed"
        for other in _other_versions(self.folder):
            try:
                with _held(other):
                    freed = _removed(other)
            except InUseError as error:
                yield f"left the checkpoints of version {other.name}: {error}"
                continue
            if freed:  # else a lock without a folder was all there was
                yield f"removed the checkpoints of version {other.name}, {_size(freed)} freed"


@contextmanager
def unfinished(folder: Path) -> Iterator[Unfinished]:
    """The version's folder, for this process alone.

    Raises:
        InUseError: another process makes this version, or one that trained it has not ended yet.
    """
    with _held(folder):
        yield Unfinished(folder)


def clear_finished(folder: Path) -> Iterator[str]:
    """Remove what a process left that was killed after it had finished the version; a line on it.

    Where another process makes the version anew, it is left.
    """
    if folder.is_dir():
        try:
            with _held(folder):
                yield f"removed its checkpoints, {_size(_removed(folder))} freed"
        except InUseError as error:
            yield f"left its checkpoints: {error}"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the version, with no process in the library still at work on it."""
    what = f"training in {folder}"
    with locked(folder.with_name(f"{folder.name}{_LOCK}"), what):
        for inner in folder.rglob(_LIBRARY_LOCK):
            if is_locked(inner):
                raise refusal(inner, what)
        yield


def _other_versions(folder: Path) -> list[Path]:
    """Folders of the same asset's other versions."""
    names = {path.name.removesuffix(_LOCK) for path in folder.parent.iterdir()} - {folder.name}
    return [folder.with_name(name) for name in sorted(names) if _VERSION.fullmatch(name)]


def _removed(folder: Path) -> int:
    """Remove a folder; the bytes that went with it."""
    before = _bytes(folder)
    shutil.rmtree(folder, ignore_errors=True)  # what cannot go is no reason to fail a result
    return before - _bytes(folder)


def _bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
