"""The folder an import writes: built beside its place, then renamed, never half there.

While it is built it is `<into>.partial`, which the same import goes on with after a break; what was
there before stays until the last moment. What stays out: reading any foreign format.
"""

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from finecap.config import ImportConfig
from finecap.data.image_files import is_in_shard
from finecap.data.importers.assign import Splits, assign
from finecap.data.importers.entry import BAD, NOTE, DatasetImportError, Fault, Source
from finecap.data.importers.ingest import JOURNAL, Taken, ingest, read_journal
from finecap.data.importers.photos import MARKER
from finecap.data.importers.report import CSV, HTML, by_reason, write_report
from finecap.data.likeness import SIZE
from finecap.data.record_shards import write_shards
from finecap.data.records import RECORDS, SHARDS, Record, write_records
from finecap.log import Log

_CONTENTS = frozenset(
    {"images", CSV, HTML, MARKER, JOURNAL}
    | {name + ending for name in (RECORDS, SHARDS) for ending in ("", ".partial")}
)


class NothingImportedError(DatasetImportError):
    """Not one image came in: the source may be of another kind."""


_REASONS = 3  # that a failure's message repeats


class _Marker(BaseModel):
    """`import.json`: what an import wrote, so that the same one again is known."""

    kind: str
    fingerprint: str
    images: int = 0
    files: int | None = None  # below images/; None: as many as images
    captions: int = 0
    problems: int = 0
    bad: int = 0
    by_split: dict[str, int] = {}
    splits: str = ""


@dataclass(frozen=True)
class ImportReport:
    """What an import brought in."""

    folder: Path
    images: int
    captions: int
    problems: int  # rows of import-report.csv
    bad: int  # those of them that should have come in
    by_split: Mapping[str, int]
    splits: str = ""  # how the splits came about, in words
    unchanged: bool = False  # the folder already held this source


@dataclass(frozen=True, slots=True)
class _Image:
    """What splits are chosen by; captions stay in the journal, since there may be millions."""

    image: str
    split: str | None
    md5: str
    file: str
    line: int


@dataclass
class _Tally:
    """What the journal's second reading adds up to."""

    captions: int = 0
    by_split: Counter[str] = field(default_factory=Counter)


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
    if marker.fingerprint != fingerprint:
        return None
    if not ((into / RECORDS).is_file() or (into / SHARDS).is_dir()):
        return None
    # An image that another process removed is found by count; one that was changed, by validation.
    if _files(into) != (marker.images if marker.files is None else marker.files):
        return None
    return _report(into, marker, unchanged=True)


def write_import(
    into: Path, kind: str, fingerprint: str, source: Source, config: ImportConfig, log: Log
) -> ImportReport:
    """Build the folder as `<into>.partial` and put it in the place of `into`.

    Raises:
        DatasetImportError: too many bad rows, nothing to import, or `<into>.partial` is somebody
            else's; `into` is as it was.
        OSError: no space left, or no right to write there; `into` is as it was.
    """
    partial = into.with_name(into.name + ".partial")
    _begin(partial, _Marker(kind=kind, fingerprint=fingerprint))
    ingest(source, partial, log, link=config.link)
    images, likenesses, faults = _rows(partial)
    own, md5s = [image.split for image in images], [image.md5 for image in images]
    splits = assign(own, md5s, likenesses, config)
    faults += _apart(images, splits)
    faults += _unsplit(images, splits)
    bad = sum(fault.kind == BAD for fault in faults)
    good = sum(split is not None for split in splits.of)
    _refuse_bad(into, kind, bad, good, faults, config)
    tally = _Tally()
    records = _records(partial, splits, tally)
    if config.parquet:
        write_shards(partial / SHARDS, records)
    else:
        write_records(partial / RECORDS, records)
    _drop_unused(partial, images, splits)
    (partial / JOURNAL).unlink()
    sizes = ", ".join(f"{split} {n:,}" for split, n in tally.by_split.items())
    said = [
        f"{good:,} images with {tally.captions:,} captions: {sizes}",
        *source.said,
        splits.said,
        f"{bad:,} bad rows, {bad / (bad + good):.2%} (at most {config.max_bad:.2%} may be)",
    ]
    write_report(partial, f"Import of {kind}", said, faults)
    marker = _Marker(
        kind=kind,
        fingerprint=fingerprint,
        images=good,
        files=_files(partial),
        captions=tally.captions,
        problems=len(faults),
        bad=bad,
        by_split=dict(tally.by_split),
        splits=splits.said,
    )
    (partial / MARKER).write_text(marker.model_dump_json(indent=1) + "\n")
    _replace_folder(partial, into)
    for sentence in said:
        log(sentence)
    _remove_own(into.with_name(into.name + ".rejected"))
    return _report(into, marker)


def _begin(partial: Path, marker: _Marker) -> None:
    """An empty folder to build in, or what the same import left when it was broken off."""
    found = _marker(partial)
    if found is None or (found.kind, found.fingerprint) != (marker.kind, marker.fingerprint):
        _remove_own(partial)
        (partial / "images").mkdir(parents=True)
        (partial / MARKER).write_text(marker.model_dump_json(indent=1) + "\n")


def _rows(partial: Path) -> tuple[list[_Image], npt.NDArray[np.uint8], list[Fault]]:
    """Images, their likenesses (N, `SIZE`), and what did not come in."""
    images: list[_Image] = []
    faults: list[Fault] = []
    looks = bytearray()
    for line in read_journal(partial / JOURNAL):
        if isinstance(line, Fault):
            faults.append(line)
            continue
        if line.note:
            faults.append(Fault(line.image, line.file, line.line, line.note, NOTE))
        if not line.again:
            images.append(_Image(line.image, line.split, line.md5, intern(line.file), line.line))
            looks += bytes.fromhex(line.likeness)
    return images, np.frombuffer(looks, dtype=np.uint8).reshape(-1, SIZE), faults


def _apart(images: list[_Image], splits: Splits) -> list[Fault]:
    """Notes on pictures that look the same in two splits of the source's own."""
    return [
        Fault(
            images[a].image,
            images[a].file,
            images[a].line,
            f"in {splits.of[a]}, and looks the same as {images[b].image} in {splits.of[b]}",
            NOTE,
        )
        for a, b in splits.apart
    ]


def _unsplit(images: list[_Image], splits: Splits) -> list[Fault]:
    return [
        Fault(image.image, image.file, image.line, "has no split, though other images have one")
        for image, split in zip(images, splits.of, strict=True)
        if split is None
    ]


def _refuse_bad(
    into: Path, kind: str, bad: int, good: int, faults: list[Fault], config: ImportConfig
) -> None:
    """Stop where too much is bad; the report is kept beside `into`.

    Raises:
        DatasetImportError: names the count, the reasons and the report.
    """
    if good and bad <= config.max_bad * (bad + good):
        return
    partial = into.with_name(into.name + ".partial")
    rejected = into.with_name(into.name + ".rejected")
    _remove_own(rejected)
    rejected.mkdir()
    reasons = [(reason, n) for kind_, reason, n in by_reason(faults) if kind_ == BAD]
    first = "; ".join(f"{reason} ({count:,})" for reason, count in reasons[:_REASONS])
    share = f"{bad:,} of {bad + good:,} images or lines are bad"
    limit = f"at most {config.max_bad:.2%} may be (--max-bad)"
    write_report(rejected, f"Refused import of {kind}", [f"{share}; {limit}"], faults)
    shutil.rmtree(partial)
    if not good and not bad:
        raise NothingImportedError(f"the {kind} source has no image with captions and a split")
    error = DatasetImportError if good else NothingImportedError
    if good > bad:
        limit += f"; --max-bad {math.ceil(1000 * bad / (bad + good)) / 1000:g} lets the others in"
    raise error(
        f"{share}, {limit}: {first}. {into} is as it was; every row is in {rejected / HTML}"
    )


def _records(partial: Path, splits: Splits, tally: _Tally) -> Iterator[Record]:
    """The records in the source's order, captions of an image named twice together."""
    more: dict[str, tuple[str, ...]] = {}
    for line in read_journal(partial / JOURNAL):
        if isinstance(line, Taken) and line.again:
            more[line.image] = (*more.get(line.image, ()), *line.captions)
    of = iter(splits.of)
    for line in read_journal(partial / JOURNAL):
        if isinstance(line, Fault) or line.again:
            continue
        if split := next(of):
            # Files that repeat others, as of tokenised captions, add nothing.
            later = (text for text in more.get(line.image, ()) if text not in line.captions)
            captions = (*line.captions, *dict.fromkeys(later))
            tally.captions += len(captions)
            tally.by_split[split] += 1
            yield Record(line.image, split, captions, alt_text=line.alt_text)


def _drop_unused(partial: Path, images: list[_Image], splits: Splits) -> None:
    """Remove images that came in and have no record; those in shards stay, unread."""
    for image, split in zip(images, splits.of, strict=True):
        if split is None and not is_in_shard(partial / image.image):
            (partial / image.image).unlink()


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "images").rglob("*"))


def _report(into: Path, marker: _Marker, *, unchanged: bool = False) -> ImportReport:
    return ImportReport(
        folder=into,
        images=marker.images,
        captions=marker.captions,
        problems=marker.problems,
        bad=marker.bad,
        by_split=marker.by_split,
        splits=marker.splits,
        unchanged=unchanged,
    )


def _marker(folder: Path) -> _Marker | None:
    """What an earlier import left about itself; None where none did."""
    try:
        return _Marker.model_validate_json((folder / MARKER).read_text())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def _remove_own(folder: Path) -> None:
    """Remove what an earlier import left, and nothing else."""
    if not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - _CONTENTS:
        raise DatasetImportError(f"{folder} is in the way and is no import; move it away")
    shutil.rmtree(folder)


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
