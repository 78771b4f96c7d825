"""Foreign data sets become a data folder: `images/` and `captions.jsonl`, one module per kind.

A kind is a function `(source, into, log) -> ImportReport`; add it to `KINDS`. What all kinds share
(the atomic build of the folder, what may be overwritten, the report) is `target`; what stays out is
judging the data: `expectations` does that to every folder, wherever it came from.
"""

from collections.abc import Callable
from pathlib import Path

from finecap.data.importers.flickr import import_flickr8k
from finecap.data.importers.target import DatasetImportError, ImportReport
from finecap.log import Log

KINDS: dict[str, Callable[[Path, Path, Log], ImportReport]] = {"flickr8k": import_flickr8k}
"""Importers by the name that the command line knows them by."""

__all__ = ["KINDS", "DatasetImportError", "ImportReport", "import_dataset"]


def import_dataset(kind: str, source: Path, into: Path, log: Log) -> ImportReport:
    """Import `source`, a data set of that kind, into the folder `into`.

    Raises:
        DatasetImportError: unknown kind, broken source, or `into` holds something else.
        FileNotFoundError: a file of the source is missing.
    """
    if kind not in KINDS:
        raise DatasetImportError(
            f"unknown kind of data set {kind!r}, expected one of {', '.join(sorted(KINDS))}"
        )
    return KINDS[kind](source, into, log)
