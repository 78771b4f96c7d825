"""Tables with an image and captions in each row: CSV, TSV, JSON lines, Parquet.

A row is an image with one caption or several, or one of several rows of the same image. Paths are
relative to the table's folder or to `images`; Parquet may hold the images themselves. Columns are
told by their usual names, or named (`columns`). Rows are read as they come, never all at once. What
stays out: tables with a quirk of their own, which are kinds (`flickr`, `finecapeval`).
"""

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from finecap.config import ImportConfig
from finecap.data.image_formats import SUFFIXES
from finecap.data.importers import columns
from finecap.data.importers.coco import split_of
from finecap.data.importers.columns import NoTableError, RowError
from finecap.data.importers.entry import (
    DatasetImportError,
    Entry,
    Fault,
    Source,
    split_named,
    text_lines,
    tidy,
)
from finecap.data.importers.json_tables import table_rows
from finecap.data.importers.photos import Photos, is_import, photos_of
from finecap.data.json_files import read_json

Row = tuple[int, Mapping[str, object] | str]
"""A row's number and its cells by column, or why it cannot be read."""

_LOOKED_AT = 20  # rows, to tell columns
_BATCH = 64  # rows of Parquet or Arrow: with images in them each may be megabytes


def open_csv(source: Path, config: ImportConfig) -> Source:
    """Tables of text, separated by comma, tab, semicolon or bar. Raises: see `open_tables`."""
    return _open(source, config, (".csv", ".tsv"), _csv_header, _csv_rows)


def open_jsonl(source: Path, config: ImportConfig) -> Source:
    """JSON lines of objects, or JSON that is a table (`json_tables`). Raises: see `open_tables`.

    A `captions.jsonl` of ours is such a file, and so are LAVIS' and BLIP's annotations.
    """
    suffixes = (".jsonl", ".jsonlines", ".ndjson", ".json")
    return _open(source, config, suffixes, _jsonl_header, _jsonl_rows)


def open_parquet(source: Path, config: ImportConfig) -> Source:
    """Parquet, in one file or in shards. Raises: see `open_tables`."""
    return _open(source, config, (".parquet",), _parquet_header, _parquet_rows)


def open_tables(
    files: Sequence[tuple[Path, str | None]],
    photos: Photos,
    config: ImportConfig,
    header: Callable[[Path], list[str]],
    rows: Callable[[Path, Sequence[str]], Iterator[Row]],
) -> Source:
    """Tables of one form.

    Args:
        files: each with the split that its place or name says.
        photos: where paths lead.
        config: names columns.
        header: columns of a file.
        rows: of a file, the columns that are asked for.

    Raises:
        DatasetImportError: a named column is not there, or a file cannot be read.
        NoTableError: no file has columns of images and captions. Of several, those that have
            none, as of a test set, are left out and named.
    """
    chosen: dict[Path, dict[str, list[str]]] = {}
    others: list[str] = []
    first: NoTableError | None = None
    for path, _ in files:
        leads = partial(_leads, path, photos, rows)
        try:
            chosen[path] = columns.chosen(header(path), config.columns, path.name, leads)
        except NoTableError as error:
            first = first or error
            others.append(path.name)
    if first and not chosen:
        raise first

    def entries() -> Iterator[Entry | Fault]:
        for path, split in files:
            if path not in chosen:
                continue
            wanted = [column for names in chosen[path].values() for column in names]
            for _, group in groupby(
                _read(path, split, chosen[path], rows(path, wanted)), key=_same_image
            ):
                yield _joined(list(group), photos, path.parent.name)

    said = tuple(dict.fromkeys(columns.said(of) for of in chosen.values()))
    if others:
        said += (f"left out, without images or captions: {', '.join(others)}",)
    return Source([*chosen], photos.digest, entries, said=said)


def _leads(
    path: Path,
    photos: Photos,
    rows: Callable[[Path, Sequence[str]], Iterator[Row]],
    column: str,
) -> bool:
    """Whether one of the first rows has an image in that column."""
    for _, row in islice(rows(path, [column]), _LOOKED_AT):
        try:
            name, content = columns.image_in(None if isinstance(row, str) else row.get(column))
            if content is not None or photos.find(name):
                return True
        except RowError:
            continue
    return False


def _open(
    source: Path,
    config: ImportConfig,
    suffixes: Sequence[str],
    header: Callable[[Path], list[str]],
    rows: Callable[[Path, Sequence[str]], Iterator[Row]],
) -> Source:
    files = [source] if source.is_file() else _found(source, suffixes)
    root = source if source.is_dir() else source.parent
    photos = photos_of(config, root)
    return open_tables(with_splits(files), photos, config, header, rows)


def _found(source: Path, suffixes: Sequence[str]) -> list[Path]:
    for suffix in suffixes:
        paths = sorted(source.rglob(f"*{suffix}"))
        if found := [path for path in paths if not is_import(path, source)]:
            return found
    raise FileNotFoundError(f"{source} has no {' or '.join(suffixes)}, expected a table there")


def with_splits(files: Sequence[Path]) -> list[tuple[Path, str | None]]:
    """Files with the split that folder or name say, where there are several and all say one."""
    splits = [split_named(path.parent.name) or split_of(path) for path in files]
    if len(files) > 1 and all(splits):
        return list(zip(files, splits, strict=True))
    return [(path, None) for path in files]


def _read(
    path: Path, split: str | None, chosen: Mapping[str, Sequence[str]], rows: Iterable[Row]
) -> Iterator[Entry | Fault]:
    """A row each, its image not yet looked for."""
    for line, row in rows:
        if isinstance(row, str):
            yield Fault("", path.name, line, row)
            continue
        cells = {field: [row.get(column) for column in of] for field, of in chosen.items()}
        name = ""
        try:
            name, content = columns.image_in(cells["image"][0])
            captions = columns.captions_in(cells["caption"])
            own = columns.split_in(cells["split"][0]) if "split" in cells else None
        except RowError as error:
            yield Fault(name, path.name, line, str(error))
            continue
        alt_text = cells.get("alt_text", [None])[0]
        if content is not None:
            folder = f"{path.parent.name}/" if split_named(path.parent.name) else ""
            name = folder + (Path(name).name or f"{path.stem}-{line}")
        yield Entry(
            name,
            content if content is not None else Path(name),
            captions,
            own or split,
            tidy(alt_text) or None if isinstance(alt_text, str) else None,
            path.name,
            line,
        )


def _same_image(row: Entry | Fault) -> object:
    """Equal for rows of one image: of the same path, or of the same bytes."""
    return row.image if isinstance(row, Entry) else (row.file, row.line)


def _joined(rows: Sequence[Entry | Fault], photos: Photos, folder: str) -> Entry | Fault:
    """Rows of one image as one entry, its photo found, in the table's `folder` before others."""
    first = rows[0]
    if isinstance(first, Fault):
        return first
    same = [row for row in rows if isinstance(row, Entry)]
    captions = [caption for row in same for caption in row.captions]
    if len(splits := {row.split for row in same}) > 1:
        said = ", ".join(sorted(map(str, splits)))
        return Fault(first.name, first.file, first.line, f"its rows name several splits: {said}")
    found: Entry | Fault = first
    if isinstance(first.image, Path):
        found = photos.entry(
            first.name, (), first.split, file=first.file, line=first.line, folder=folder
        )
    if isinstance(found, Fault):
        return found
    return Entry(
        photos.name_of(found),
        found.image,
        tuple(captions),
        found.split,
        first.alt_text,
        found.file,
        found.line,
    )


def _csv_header(path: Path) -> list[str]:
    with _opened(path) as rows:
        return [cell.strip() for cell in next(rows, [])]


def _csv_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
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
            yield csv.reader(file, delimiter=max(",\t;|", key=first.count))
    except UnicodeDecodeError as error:
        raise DatasetImportError(f"{path} is not UTF-8 ({error.reason}); convert it") from error


def _jsonl_header(path: Path) -> list[str]:
    """Columns of the first row that can be read."""
    first = next((row for _, row in _jsonl_rows(path, ()) if not isinstance(row, str)), None)
    if first is None:
        raise NoTableError(f"{path} has no line that is a JSON object, and is no table of them")
    return list(first)


def _jsonl_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
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


def _parquet_header(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise DatasetImportError(f"{path}: {error}") from error


def _parquet_rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    line = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=list(wanted)):
            for row in batch.to_pylist():
                line += 1
                yield line, row
