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
    raise IndexRefused(
        f"{URL_VARIABLE} is {url.partition('://')[0]}://..., expected postgresql://USER@HOST/NAME, "
        "or unset for an index in the home folder"
    )
