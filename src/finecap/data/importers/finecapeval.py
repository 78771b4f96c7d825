r"""FineCapEval's images with their captions (Cho et al. 2022), to look at or to train on.

Columns `image, caption, background, object, relation`, a row per person. To score captions against
its phrases give the CSV to `finecap score`; here the captions alone come in. It has no splits. What
stays out: the phrases, and reading them for a score (`finecap.data.finecapeval`).
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from finecap.config import ImportConfig
from finecap.data.finecapeval import COLUMNS
from finecap.data.importers.entry import DatasetImportError, Entry, Fault, Source
from finecap.data.importers.photos import photos_of


def open_finecapeval(source: Path, config: ImportConfig) -> Source:
    """FineCapEval in `source`: the CSV, or a folder with it and the photos.

    Raises:
        FileNotFoundError: no such file, or no folder of photos.
        DatasetImportError: several such files, or one that is no FineCapEval.
    """
    path = _file(source)
    header = next(_cells(path), (0, []))[1]
    if missing := [column for column in ("image", "caption") if column not in header]:
        raise DatasetImportError(
            f"{path}: no column {', '.join(missing)}, expected {', '.join(COLUMNS)}"
        )
    photos = photos_of(config, _root(source))

    def entries() -> Iterator[Entry | Fault]:
        captions: dict[str, tuple[int, list[str]]] = {}
        for line, cells in list(_cells(path))[1:]:
            if len(cells) != len(header):
                reason = f"{len(cells)} cells, expected {len(header)}: {','.join(cells)[:60]!r}"
                yield Fault(cells[0], path.name, line, reason)
                continue
            row = dict(zip(header, cells, strict=True))
            captions.setdefault(row["image"].strip(), (line, []))[1].append(row["caption"])
        for name, (line, sentences) in captions.items():
            yield photos.entry(name, sentences, file=path.name, line=line)

    return Source([path], photos.digest, entries)


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("FineCapEval*.csv")) or sorted(source.glob("*.csv"))
    if not found:
        raise FileNotFoundError(f"{source / 'FineCapEval.csv'} does not exist, expected it there")
    if len(found) > 1:
        raise DatasetImportError(
            f"{source} has several: {', '.join(path.name for path in found)}; name one file"
        )
    return found[0]


def _root(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not blank, the header's first."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetImportError(
            f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from error
    rows = csv.reader(io.StringIO(text, newline=""))
    for cells in rows:
        if any(cells):
            yield rows.line_num, cells
