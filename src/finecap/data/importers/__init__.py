"""Foreign data sets become a data folder: `images/` and records, one module per kind.

A kind is a function `(source, config) -> Source`, which says what there is and hands over images
one after another; add it to `KINDS`. What all kinds share is elsewhere: reading images and going on
after a break (`ingest`), splits (`assign`), the folder and its report (`target`, `report`), what to
do where it fails (`advice`). What stays out is judging the data: `expectations` does that to every
folder, wherever it came from.
"""

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from finecap.config import ImportConfig
from finecap.data.importers.advice import other_kind, packed
from finecap.data.importers.coco import open_coco
from finecap.data.importers.entry import DatasetImportError, Source
from finecap.data.importers.finecapeval import open_finecapeval
from finecap.data.importers.flickr import open_flickr8k, open_flickr30k
from finecap.data.importers.huggingface import open_huggingface
from finecap.data.importers.karpathy import open_karpathy
from finecap.data.importers.sidecar import open_sidecars
from finecap.data.importers.table import open_csv, open_jsonl, open_parquet
from finecap.data.importers.target import (
    ImportReport,
    NothingImportedError,
    earlier_import,
    write_import,
)
from finecap.data.importers.webdataset import open_webdataset
from finecap.log import Log

KINDS: dict[str, Callable[[Path, ImportConfig], Source]] = {
    "coco": open_coco,
    "karpathy": open_karpathy,
    "flickr8k": open_flickr8k,
    "flickr30k": open_flickr30k,
    "finecapeval": open_finecapeval,
    "folder": open_sidecars,
    "csv": open_csv,
    "jsonl": open_jsonl,
    "parquet": open_parquet,
    "webdataset": open_webdataset,
    "huggingface": open_huggingface,
}
"""Importers by the name that the command line knows them by."""

__all__ = ["KINDS", "DatasetImportError", "ImportReport", "import_dataset"]

_HASHED = 1 << 30  # bytes; of larger files (shards of images) size and time of change count
_CHUNK = 1 << 20


def import_dataset(
    kind: str, source: Path, into: Path, log: Log, config: ImportConfig | None = None
) -> ImportReport:
    """Import `source`, a data set of that kind, into the folder `into`.

    The same source again changes nothing and returns at once; one that was broken off goes on where
    it stopped; another one, or other settings, replace an earlier import whole.

    Args:
        kind: one of `KINDS`.
        source: folder or file that the data set was handed out as.
        into: the data folder to write: `images/`, records, the report as CSV and HTML.
        log: receives progress.
        config: settings.

    Raises:
        DatasetImportError: unknown kind, broken source, too many bad rows, or `into` holds
            something else; `into` is as it was.
        FileNotFoundError: a file of the source is missing.
    """
    settings = config or ImportConfig()
    if kind not in KINDS:
        advice = other_kind(kind, source, settings, KINDS) or packed(kind, source)
        raise DatasetImportError(
            f"unknown kind of data set {kind!r}, expected one of {', '.join(sorted(KINDS))}. "
            f"{advice}".strip()
        )
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist, expected the data set's folder or file")
    if into.name in {"", ".."}:
        into = into.resolve()  # what is built beside it is named after it
    with _advised(kind, source, settings):
        found = KINDS[kind](source, settings)
    fingerprint = _fingerprint(found, settings)
    if earlier := earlier_import(into, kind, fingerprint):
        log(f"{into} holds this import already: {earlier.images} images")
        return earlier
    with _advised(kind, source, settings, of=NothingImportedError):
        return write_import(into, kind, fingerprint, found, settings, log)


@contextmanager
def _advised(
    kind: str, source: Path, config: ImportConfig, of: type[Exception] = DatasetImportError
) -> Generator[None]:
    """Inside it, errors say what to unpack, or which kind the source is, where that may be why."""
    try:
        yield
    except (DatasetImportError, FileNotFoundError) as error:
        is_other = isinstance(error, of | FileNotFoundError)
        advice = other_kind(kind, source, config, KINDS) if is_other else ""
        advice = advice or packed(kind, source)
        if not advice:
            raise
        known = FileNotFoundError if isinstance(error, FileNotFoundError) else DatasetImportError
        raise known(f"{error}. {advice}") from error


def _fingerprint(source: Source, config: ImportConfig) -> str:
    """Over what decides the result: settings, the files' content, the photos' names and sizes."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(config.model_dump_json(exclude={"max_bad", "images"}).encode())
    digest.update(source.photos.encode())
    for path in source.files:
        stat = path.stat()
        digest.update(f"\n{path.name}\t{stat.st_size}\t".encode())
        if stat.st_size > _HASHED:
            digest.update(str(stat.st_mtime_ns).encode())
            continue
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
