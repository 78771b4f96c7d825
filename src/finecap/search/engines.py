"""Which engine keeps the index: the one place that knows them all.

`FINECAP_INDEX_URL` chooses: unset, a LanceDB folder below the home folder; `postgresql://...`, a
database that many machines share. Everything else asks `open_index` and sees the seam alone.
"""

import os
from pathlib import Path

from finecap.search.index import CaptionIndex, IndexRefused
from finecap.search.lance import LanceIndex

URL_VARIABLE = "FINECAP_INDEX_URL"


def open_index(folder: Path, url: str | None = None) -> CaptionIndex:
    """The index that `url`, or else the environment, names; without either the one in `folder`.

    Raises:
        IndexRefused: no engine answers to that URL.
    """
    url = os.environ.get(URL_VARIABLE, "") if url is None else url
    if not url:
        return LanceIndex(folder)
    if url.startswith(("postgresql://", "postgres://")):
        return _postgres(url)
    raise IndexRefused(
        f"{URL_VARIABLE} is {url.partition('://')[0]}://..., expected postgresql://USER@HOST/NAME, "
        "or unset for an index in the home folder"
    )


def _postgres(url: str) -> CaptionIndex:
    """The engine for many machines.

    Raises:
        IndexRefused: its driver is not installed.
    """
    try:
        from finecap.search.postgres import PostgresIndex
    except ImportError as error:
        raise IndexRefused(
            f"{URL_VARIABLE} names PostgreSQL, whose driver is missing: "
            "pip install 'finecap[postgres]'"
        ) from error
    return PostgresIndex(url)
