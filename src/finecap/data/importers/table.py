"""Tables with an image and captions in each row: CSV, TSV, JSON lines, Parquet.

A row is an image with one caption or several, or one of several rows of the same image. Paths are
relative to the table's folder or to `images`; Parquet may hold the images themselves. Columns are
told by their usual names, or named (`columns`). Rows are read as they come, never all at once. What
stays out: reading the files (`table_files`), and tables with a quirk of their own, which are kinds
(`flickr`, `finecapeval`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from finecap.config import ImportConfig
from finecap.data.importers import columns
from finecap.data.importers.coco import split_of
from finecap.data.importers.columns import NoTableError, RowError
from finecap.data.importers.entry import (
    Entry,
    Fault,
    Source,
    split_named,
    tidy,
)
from finecap.data.importers.photos import Photos, is_import, photos_of
from finecap.data.importers.table_files import (
    Row,
    csv_header,
    csv_rows,
    jsonl_header,
    jsonl_rows,
    parquet_header,
    parquet_rows,
)

_LOOKED_AT = 20  # rows, to tell columns


def open_csv(source: Path, config: ImportConfig) -> Source:
    """Tables of text, separated by comma, tab, semicolon or bar. Raises: see `open_tables`."""
    return _open(source, config, (".csv", ".tsv"), csv_header, csv_rows)


def open_jsonl(source: Path, config: ImportConfig) -> Source:
    """JSON lines of objects, or JSON that is a table (`json_tables`). Raises: see `open_tables`.

    A `captions.jsonl` of ours is such a file, and so are LAVIS' and BLIP's annotations.
    """
    suffixes = (".jsonl", ".jsonlines", ".ndjson", ".json")
    return _open(source, config, suffixes, jsonl_header, jsonl_rows)


def open_parquet(source: Path, config: ImportConfig) -> Source:
    """Parquet, in one file or in shards. Raises: see `open_tables`."""
    return _open(source, config, (".parquet",), parquet_header, parquet_rows)


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
