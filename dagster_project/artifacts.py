"""Artifacts on disk: `<home>/artifacts/<asset>/<data_version>/`, whole or not there at all.

A stage writes into a folder under a temporary name; `_complete.json` is written last and the folder
is renamed into place, so what a killed process leaves is never mistaken for a result: it is swept
away by the next stage that writes the same asset. Which version an asset hands over is decided by
whoever asks for it (Dagster's event log); nothing here looks for the newest.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARKER = "_complete.json"
_PARTIAL = ".partial-"
_NO_SPACE = ("no space left on device", "os error 28", "database or disk is full")


class ArtifactMissingError(FileNotFoundError):
    """An artifact that the event log names but the disk does not hold."""


class NoSpaceError(OSError):
    """The disk filled up while an artifact was written."""


@dataclass(frozen=True)
class Artifact:
    """What a stage has made, and what of it later stages and people ask for."""

    asset: str  # its key, parts joined by "/"
    path: Path
    data_version: str
    data_md5: str = ""  # of the data set at the root of its lineage
    inputs: Mapping[str, str] = field(default_factory=dict)  # version by asset or package
    metrics: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)  # markdown by title, for the UI
    history: tuple[Mapping[str, float], ...] = ()  # metrics by step, as training reported them
    seconds: float = 0.0  # in the library
    run_id: str | None = None  # of MLflow


class ArtifactStore:
    """Artifacts below one folder."""

    def __init__(self, folder: Path) -> None:
        """Artifacts below `folder`, which need not exist yet."""
        self.root = folder

    def folder(self, asset: str, version: str) -> Path:
        """Where that version lies once it is complete."""
        return self.root / asset / version

    def find(self, asset: str, version: str) -> Artifact | None:
        """The complete artifact of that version, if there is one."""
        marker = self.folder(asset, version) / MARKER
        if not marker.is_file():
            return None
        content = json.loads(marker.read_text())
        path = Path(content.pop("path", None) or marker.parent)
        history = tuple(content.pop("history"))
        return Artifact(asset=asset, path=path, data_version=version, history=history, **content)

    def get(self, asset: str, version: str) -> Artifact:
        """The complete artifact of that version.

        Raises:
            ArtifactMissingError: it was removed, or never finished.
        """
        artifact = self.find(asset, version)
        if artifact is None:
            raise ArtifactMissingError(
                f"{asset}: version {version} was materialized, but {self.folder(asset, version)} "
                f"is not complete on disk; materialize {asset} again"
            )
        return artifact

    @contextmanager
    def writing(self, asset: str, version: str) -> Iterator[Path]:
        """An empty folder to write into; on an error it is removed.

        Raises:
            NoSpaceError: the disk filled up; names asset and folder.
        """
        home = self.root / asset
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        partial = home / f"{_PARTIAL}{version}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        partial.mkdir()
        with naming_full_disk(asset, str(home), "the half-written artifact was removed"):
            try:
                yield partial
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise

    def publish(self, partial: Path, artifact: Artifact) -> Artifact:
        """Mark `partial` complete and move it into place; replaces an older one of that version."""
        (partial / MARKER).write_text(json.dumps(_content(artifact), indent=1))
        final = self.folder(artifact.asset, artifact.data_version)
        outdated = partial.with_name(f"{partial.name}-outdated")
        if final.exists():
            final.rename(outdated)
        partial.rename(final)
        shutil.rmtree(outdated, ignore_errors=True)
        return self.get(artifact.asset, artifact.data_version)

    def record(self, artifact: Artifact) -> Artifact:
        """Note an artifact whose content lies elsewhere (the data folder), or update its note."""
        final = self.folder(artifact.asset, artifact.data_version)
        final.mkdir(parents=True, exist_ok=True)
        outside = {} if artifact.path == final else {"path": str(artifact.path)}
        partial = final / f"{MARKER}.{os.getpid()}"
        partial.write_text(json.dumps({**_content(artifact), **outside}, indent=1))
        partial.replace(final / MARKER)
        return self.get(artifact.asset, artifact.data_version)


@contextmanager
def naming_full_disk(asset: str, place: str, kept: str) -> Iterator[None]:
    """Let a full disk end the block with a clear message.

    Args:
        asset: that is at work.
        place: whose disk it is.
        kept: what becomes of the work.

    Raises:
        NoSpaceError: the disk filled up.
    """
    try:
        yield
    except BaseException as error:
        if not is_no_space(error) or isinstance(error, NoSpaceError):
            raise
        said = f"{asset}: no space left on the disk of {place}; {kept}: free some space, run again"
        raise NoSpaceError(errno.ENOSPC, said) from error


def is_no_space(error: BaseException | None) -> bool:
    """Whether a full disk is behind `error`; libraries wrap it in errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if any(phrase in str(error).lower() for phrase in _NO_SPACE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _content(artifact: Artifact) -> dict[str, Any]:
    """What the marker says; asset, version and folder it says by where it lies."""
    return {
        "data_md5": artifact.data_md5,
        "inputs": dict(artifact.inputs),
        "metrics": dict(artifact.metrics),
        "config": dict(artifact.config),
        "details": dict(artifact.details),
        "history": [dict(row) for row in artifact.history],
        "seconds": artifact.seconds,
        "run_id": artifact.run_id,
    }


def _sweep(home: Path) -> None:
    """Remove what dead processes left half-written below an asset's folder."""
    for partial in home.glob(f"{_PARTIAL}*"):
        pid = int(partial.name.removeprefix(_PARTIAL).split("-")[1])
        if not _alive(pid):
            shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    """Whether a process of that number runs; signal 0 only asks."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
