"""The records of a data folder: `captions.jsonl`, or Parquet shards; read and written here.

One JSON object per line, which people can read, edit and compare; for millions of records shards
in the folder `captions` (`record_shards`). A row is a row in either, and readers are given one
path, of the file or of the folder (`records_in`). What a record is: `record`, whose names are found
here too. Stays light, as orchestration and every stage import it: Parquet is imported inside.
"""

import gc
import json
import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic_core import from_json

from finecap.data.record import (
    RELATIONS,
    SPLITS,
    Facts,
    Record,
    RecordError,
    Relation,
    Thing,
    record_of,
    shown,
)

__all__ = [
    "RECORDS",
    "RELATIONS",
    "SHARDS",
    "SPLITS",
    "Facts",
    "Problem",
    "Record",
    "RecordError",
    "Relation",
    "Thing",
    "iter_records",
    "read_records",
    "record_of",
    "records_in",
    "scan_records",
    "write_records",
]

RECORDS, SHARDS = "captions.jsonl", "captions"
"""Names of the one and the other in a data folder."""
REMEDY = "fix or remove the line"

_IMAGE = re.compile(rb'"image"\s*:\s*"([^"\\]+)"')
_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would make one for each line


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line is no record."""

    line: int  # from 1
    image: str  # "" where even that could not be read
    reason: str


def records_in(folder: Path) -> Path:
    """Where the records of a data folder are.

    Raises:
        FileNotFoundError: it has none.
        RecordError: it has them twice.
    """
    file, shards = folder / RECORDS, folder / SHARDS
    if file.is_file() and shards.is_dir():
        raise RecordError(f"{folder} has both {RECORDS} and {SHARDS}/, expected one; remove one")
    if not file.is_file() and not shards.is_dir():
        raise FileNotFoundError(
            f"{file} does not exist, expected one JSON object per line, one line per image, or "
            f"Parquet shards in {shards}; draw or import a data set first"
        )
    return shards if shards.is_dir() else file


def read_records(path: Path) -> list[Record]:
    """All records of `path`, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        RecordError: a line is no record (names file, line, field and remedy), or there is none.
    """
    rows, problems = scan_records(path)
    if problems:
        first = problems[0]
        more = f" ({len(problems) - 1} more such lines)" if len(problems) > 1 else ""
        raise RecordError(f"{path} line {first.line}: {first.reason}; {REMEDY}{more}")
    if not rows:
        raise RecordError(f"{path} has no records, expected one JSON object per line")
    return [record for _, record in rows]


def iter_records(path: Path) -> Iterator[Record]:
    """The records of `path` one after another, in the file's order; none is kept.

    Whether an image comes twice is not looked at: that would keep all names.

    Raises: see `read_records`, as far as reading has come.
    """
    for number, found in _rows(path):
        if isinstance(found, Problem):
            raise RecordError(f"{path} line {number}: {found.reason}; {REMEDY}")
        yield found


def scan_records(path: Path) -> tuple[list[tuple[int, Record]], list[Problem]]:
    """The good records with their line numbers, and why each other line is none.

    Blank lines count but are passed over. Of two lines that name the same image the first is kept.
    Lines of shards are counted through, from the first shard to the last.

    Raises:
        FileNotFoundError: there is no such file or folder.
        RecordError: a shard is no Parquet, or has other columns.
    """
    rows: list[tuple[int, Record]] = []
    problems: list[Problem] = []
    first_line: dict[str, int] = {}
    with gc_paused():
        for number, found in _rows(path):
            if isinstance(found, Problem):
                problems.append(found)
                continue
            image = found.image
            if image in first_line:
                reason = f'"image" {image} is already on line {first_line[image]}'
                problems.append(Problem(number, image, reason))
                continue
            first_line[image] = number
            rows.append((number, found))
    return rows, problems


def _rows(path: Path) -> Iterator[tuple[int, Record | Problem]]:
    """Every row with its number, read as it is asked for."""
    if path.is_dir():
        from finecap.data.record_shards import shard_rows

        for number, row in shard_rows(path):
            try:
                yield number, record_of(row)
            except RecordError as error:
                yield number, Problem(number, str(row["image"] or ""), str(error))
        return
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist, expected one JSON object per line, one line per image; "
            "draw or import a data set first"
        )
    with path.open("rb") as file:  # its lines end at b"\n" alone; str's also at U+2028, as in JSON
        for number, line in enumerate(file, 1):
            raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not raw.strip():
                continue
            try:
                yield number, record_of(_parse(raw))
            except RecordError as error:
                yield number, Problem(number, _named(raw), str(error))


@contextmanager
def gc_paused() -> Generator[None]:
    """Hold back the cycle collector: it would walk the growing records again and again.

    Reading 25,000 records takes 0.4 s instead of 0.8 s; records hold no cycles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one line per record, atomically; fields that are empty are left out."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_line(record) for record in records)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _line(record: Record) -> str:
    """The record as one line of JSON."""
    row: dict[str, object] = {
        "image": record.image,
        "split": record.split,
        "captions": list(record.captions),
    }
    if record.part:
        row["part"] = record.part
    if record.alt_text is not None:
        row["alt_text"] = record.alt_text
    if record.facts is not None:
        row["facts"] = record.facts
    return _ENCODER.encode(row) + "\n"


def _parse(raw: bytes) -> Mapping[str, object]:
    """The line as a JSON object."""
    try:
        # Three times as fast as `json`, and stricter: what it refuses is looked at again.
        row: object = from_json(raw)
    except ValueError:
        row = _parse_slowly(raw)
    if not isinstance(row, dict):
        raise RecordError(f"expected a JSON object, came {shown(row)}")
    return cast("dict[str, object]", row)


def _parse_slowly(raw: bytes) -> object:
    """The line's JSON, or what exactly is wrong with it."""
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise RecordError(f"byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"broken JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise RecordError("broken JSON: nested too deeply") from error


def _named(raw: bytes) -> str:
    """The image that a bad line seems to name, for reports; the line may be broken anywhere."""
    match = _IMAGE.search(raw)
    return match[1].decode(errors="replace") if match else ""
