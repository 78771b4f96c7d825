"""The folder an import writes: built beside its place, then renamed, never half there.

Every kind hands over records, the image files they stand for, and the problems it met. What stays
out: reading any foreign format.
"""

import csv
import errno
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from finecap.data.records import Problem, Record, write_records
from finecap.log import Log

MARKER = "import.json"
_CONTENTS = frozenset({"images", "captions.jsonl", "import-report.csv", MARKER})
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


class _Marker(BaseModel):
    """`import.json`: what an import wrote, so that the same one again is known."""

    kind: str
    fingerprint: str
    images: int
    captions: int
    problems: int
    by_split: dict[str, int]


class DatasetImportError(ValueError):
    """A source that cannot be read, or a target that must not be written."""


@dataclass(frozen=True)
class ImportReport:
    """What an import brought in."""

    folder: Path
    images: int
    captions: int
    problems: int  # rows of import-report.csv: left out, with the reason
    by_split: Mapping[str, int]
    unchanged: bool = False  # the folder already held this source


@dataclass(frozen=True)
class Imported:
    """What a kind read: the records, their image files, and what it left out."""

    records: Sequence[Record]
    files: Mapping[str, Path]  # by Record.image
    problems: Sequence[Problem]


def earlier_import(into: Path, kind: str, fingerprint: str) -> ImportReport | None:
    """The report of the same import where `into` holds it whole already, else None.

    Raises:
        DatasetImportError: `into` holds something that no import of this kind wrote.
    """
    if into.exists() and not into.is_dir():
        raise DatasetImportError(f"{into} is a file, expected a folder to import into")
    if not into.is_dir() or not any(into.iterdir()):
        return None
    marker = _marker(into)
    if marker is None or marker.kind != kind:
        raise DatasetImportError(
            f"{into} is not empty and holds no earlier import of {kind}; nothing was changed. "
            "Choose another folder, or move this one away"
        )
    images = into / "images"
    whole = (into / "captions.jsonl").is_file() and images.is_dir()
    if marker.fingerprint != fingerprint or not whole:
        return None
    if len(os.listdir(images)) != marker.images:  # noqa: PTH208 - 4x faster than iterdir
        return None
    return _report(into, marker, unchanged=True)


def write_import(
    into: Path, kind: str, fingerprint: str, imported: Imported, log: Log
) -> ImportReport:
    """Build the folder as `<into>.partial` and put it in the place of `into`.

    Images are hard links where source and target share a file system, copies elsewhere.

    Raises:
        DatasetImportError: nothing to import, or `<into>.partial` is somebody else's.
        OSError: no space left, or no right to write there; `into` is as it was.
    """
    if not imported.records:
        raise DatasetImportError(f"the {kind} source has no image with captions and a split")
    partial = into.with_name(into.name + ".partial")
    _remove_own(partial)
    (partial / "images").mkdir(parents=True)
    for record in imported.records:
        _link_or_copy(imported.files[record.image], partial / record.image)
    write_records(partial / "captions.jsonl", imported.records)
    _write_problems(partial / "import-report.csv", imported.problems)
    marker = _Marker(
        kind=kind,
        fingerprint=fingerprint,
        images=len(imported.records),
        captions=sum(len(record.captions) for record in imported.records),
        problems=len(imported.problems),
        by_split=dict(Counter(record.split for record in imported.records)),
    )
    (partial / MARKER).write_text(marker.model_dump_json(indent=1) + "\n")
    _replace_folder(partial, into)
    log(f"imported {marker.images} images with {marker.captions} captions into {into}")
    return _report(into, marker)


def _report(into: Path, marker: _Marker, *, unchanged: bool = False) -> ImportReport:
    return ImportReport(
        folder=into,
        images=marker.images,
        captions=marker.captions,
        problems=marker.problems,
        by_split=marker.by_split,
        unchanged=unchanged,
    )


def _marker(folder: Path) -> _Marker | None:
    """What an earlier import left about itself; None where none did."""
    try:
        return _Marker.model_validate_json((folder / MARKER).read_text())
    except (FileNotFoundError, ValidationError):
        return None


def _remove_own(folder: Path) -> None:
    """Remove what a broken-off import left, and nothing else."""
    if not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - _CONTENTS:
        raise DatasetImportError(f"{folder} is in the way and is no import; move it away")
    shutil.rmtree(folder)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source.resolve())  # a link to a link would dangle once moved
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "line", "reason"])
        rows.writerows([problem.image, problem.line, problem.reason] for problem in problems)


def _replace_folder(partial: Path, into: Path) -> None:
    """Rename; a folder cannot replace a full one, so an earlier import steps aside first."""
    if not into.exists():
        partial.rename(into)
        return
    previous = into.with_name(into.name + ".previous")
    _remove_own(previous)
    into.rename(previous)
    partial.rename(into)
    shutil.rmtree(previous)
