"""Files of a table, row by row: text with separators, JSON, Parquet.

A header is a file's columns; rows come with their numbers, those that cannot be read as the reason
why. What stays out: what columns mean (`columns`), and images and splits (`table`).
"""

import csv
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from finecap.data.image_formats import SUFFIXES
from finecap.data.importers.columns import NoTableError
from finecap.data.importers.entry import DatasetImportError, converting, text_lines
from finecap.data.importers.json_tables import table_rows
from finecap.data.json_files import read_json

Row = tuple[int, Mapping[str, object] | str]
"""A row's number and its cells by column, or why it cannot be read."""

_BATCH = 64  # rows of Parquet or Arrow: with images in them each may be megabytes


def csv_header(path: Path) -> list[str]:
    """The columns that the first line names."""
    with _opened(path) as rows:
        return [cell.strip() for cell in next(rows, [])]


def csv_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """Rows by column; `wanted` is not asked, as all cells are read anyway."""
    del wanted
    with _opened(path) as rows:
        header = [cell.strip() for cell in next(rows, [])]
        end = rows.line_num
        for cells in rows:
            start, end = end + 1, rows.line_num
            if not any(cells):
                continue
            if lines := _swallowed(cells, rows.dialect.delimiter):
                reason = f"a quote that is not closed: lines {start} to {end} are read as one"
                yield from ((start + number, reason) for number in range(lines))
                continue
            if len(cells) != len(header):
                reason = f"{len(cells)} cells, expected {len(header)}; quote a cell with separators"
                yield rows.line_num, reason
                continue
            yield rows.line_num, dict(zip(header, cells, strict=True))


def _swallowed(cells: Sequence[str], separator: str) -> int:
    """How many rows an open quote ran together; 0 where none did: a caption may have lines."""
    lines = max(cells, key=len).split("\n")
    names = [cell for line in lines[1:] for cell in line.split(separator)]
    is_open = any(f".{name.rpartition('.')[2].strip().lower()}" in SUFFIXES for name in names)
    return len(lines) if is_open else 0


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    """A CSV file opened with the separator that its first line has most of.

    Raises:
        DatasetImportError: it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            separator = max(",\t;|", key=first.count)
            is_bare = separator == "\t" and not _has_quoted_cells(path)
            quoting = csv.QUOTE_NONE if is_bare else csv.QUOTE_MINIMAL
            yield csv.reader(file, delimiter=separator, quoting=quoting)
    except UnicodeDecodeError as error:
        raise DatasetImportError(
            f"{path} is not UTF-8 ({error.reason}); {converting(path)}"
        ) from error
    except csv.Error as error:
        raise DatasetImportError(f"{path} is no table of text: {error}") from error


def _has_quoted_cells(path: Path) -> bool:
    """Whether quotes in a file of tabs enclose cells, as pandas writes them, or are just words'."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for _ in csv.reader(file, delimiter="\t", strict=True):
                pass
    except csv.Error:
        return False
    return True


def jsonl_header(path: Path) -> list[str]:
    """Columns of the first row that can be read."""
    first = next((row for _, row in jsonl_rows(path, ()) if not isinstance(row, str)), None)
    if first is None:
        raise NoTableError(f"{path} has no line that is a JSON object, and is no table of them")
    return list(first)


def jsonl_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """Objects, a line or a row of a JSON table each; `wanted` is not asked."""
    del wanted
    if _is_whole(path):
        yield from enumerate(table_rows(read_json(path, DatasetImportError)), 1)
        return
    for line, text in text_lines(path):
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            yield line, f"broken JSON at column {error.colno}: {error.msg}"
            continue
        yield line, row if isinstance(row, dict) else f"expected a JSON object, came {text[:60]!r}"


def _is_whole(path: Path) -> bool:
    """Whether a file is one JSON value, not one a line; of a single line, whether that is a table.

    A value over several lines opens what it does not close on the first.
    """
    heads = [text for _, text in islice(text_lines(path), 2)]
    if not heads or heads[0].startswith("[") or heads[0][-1] in "{[:,":
        return bool(heads)
    if len(heads) > 1:
        return False
    try:
        return bool(table_rows(json.loads(heads[0])))
    except json.JSONDecodeError:
        return False


def parquet_header(path: Path) -> list[str]:
    """The columns of the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise DatasetImportError(f"{path}: {error}") from error


def parquet_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """The columns `wanted`, a batch of rows at a time."""
    import pyarrow.parquet as pq

    line = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=list(wanted)):
            for row in batch.to_pylist():
                line += 1
                yield line, row
