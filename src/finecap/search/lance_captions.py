"""Captions of one sealed build, ranked by BM25 under filters: the part that LanceDB answers.

Why these tokenizer options: stemming, because a person who types "boats" wants "boat"; our own stop
words, because words of place tell captions apart (see `query.STOP_WORDS`); no positions, because
phrases are not searched and they double the index. Measured on 1,500 drawn captions against a BM25
of ours: top-10 overlap 1.0 (three words) and 0.91 (whole captions) with the same stems and stop
words; against bare words 0.78 and 0.61 where a tenth of the nouns are plurals. Without stemming
those would be 0.96 and 0.78, and "boats" would find no boat.

Why many rows that a filter leaves are sifted here: told to rank within 5 % of 1,000,000 captions,
LanceDB took 15 ms (with a bitmap of that value no less than with an index of lists); 1,300 rows of
all captions take 6, and twenty of the 5 % are nearly always among them.
"""

import shutil
from pathlib import Path
from typing import Any, cast

import lancedb  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
from lancedb import query as lance_query  # pyright: ignore[reportMissingTypeStubs]
from lancedb.background_loop import LOOP  # pyright: ignore[reportMissingTypeStubs]
from lancedb.index import FTS, Bitmap, LabelList  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from finecap.search.checks import check_field
from finecap.search.postings import Mask
from finecap.search.query import ATTRIBUTES, FIELDS, STOP_WORDS, And, Filter, Has, Not, Or

TABLE = "captions"
_SIFTED_MARGIN = 3
_SIFTED_MOST = 4_000
"""Rows of all captions that are looked through for some that pass."""

_pa = cast("Any", pa)
_match = cast("Any", lance_query.MatchQuery)


def write_captions(folder: Path, table: Any) -> None:
    """Write and index the captions of `table`, an Arrow table in image order."""
    shutil.rmtree(folder / f"{TABLE}.lance", ignore_errors=True)  # of a finish that failed
    chosen = table.select(["caption", *FIELDS])
    chosen = chosen.append_column("row", _pa.array(np.arange(table.num_rows, dtype=np.int64)))
    made = cast("Any", lancedb.connect(folder)).create_table(TABLE, chosen)
    made.create_index("caption", config=_full_text())
    for field in FIELDS:
        made.create_index(field, config=LabelList() if field in ATTRIBUTES else Bitmap())


def _full_text() -> FTS:
    return FTS(
        with_position=False,
        stem=True,
        ascii_folding=True,
        remove_stop_words=True,
        custom_stop_words=list(STOP_WORDS),
    )


def sql(filter_: Filter) -> str:
    """The filter in Lance's own language; values are quoted, fields are checked.

    Raises:
        IndexRefused: a field no row has.
    """
    match filter_:
        case Has(field, value):
            check_field(field)
            literal = "'" + value.replace("'", "''") + "'"
            listed = field in ATTRIBUTES
            return f"array_has_any({field}, [{literal}])" if listed else f"{field} = {literal}"
        case Not(inner):
            return f"(NOT {sql(inner)})"
        case And(filters):
            return "(" + " AND ".join(map(sql, filters)) + ")" if filters else "true"
        case Or(filters):
            return "(" + " OR ".join(map(sql, filters)) + ")" if filters else "false"


class RankedCaptions:
    """The captions of a build, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Open the table."""
        self._table = LOOP.run(_opened(folder))

    def count(self) -> int:
        """How many captions there are."""
        return LOOP.run(self._table.count_rows())

    def saying(self, text: str, limit: int) -> list[tuple[int, float]]:
        """Row numbers and BM25 scores of the best, best first; ties as they come."""
        return _pairs(LOOP.run(self._asked(text, None, limit)))

    def saying_among(
        self, text: str, filter_: Filter, mask: Mask, limit: int
    ) -> list[tuple[int, float]]:
        """`saying` of the rows that pass; `mask`, (N,), is what the filter means."""
        wide = int(_SIFTED_MARGIN * limit * len(mask) / max(1, np.count_nonzero(mask)))
        if wide <= _SIFTED_MOST:
            found = LOOP.run(self._asked(text, None, wide))
            passing = _pairs(found.filter(mask[found.column("row").to_numpy()]))
            if found.num_rows < wide or _is_complete(passing, found, limit):
                return passing
        return _pairs(LOOP.run(self._asked(text, filter_, limit)))

    def all_saying(self, text: str) -> NDArray[np.int64]:
        """Numbers of all rows whose caption has one of the words, in no order."""
        most = max(1, self.count())
        return LOOP.run(self._asked(text, None, most)).column("row").to_numpy()

    async def _asked(self, text: str, filter_: Filter | None, limit: int) -> Any:
        """An Arrow table. One trip to the engine, where its synchronous form takes six."""
        query = self._table.query().nearest_to_text(_match(text, "caption"))
        if filter_ is not None:
            query = query.where(sql(filter_))
        return await query.select(["row", "_score"]).limit(limit).to_arrow()


def _is_complete(passing: list[tuple[int, float]], found: Any, limit: int) -> bool:
    """Whether so many are surely the best: none that ties with the last one found is needed."""
    if len(passing) < limit:
        return False
    last = float(found.column("_score").to_numpy().min())
    return sorted((score for _, score in passing), reverse=True)[limit - 1] > last


def _pairs(found: Any) -> list[tuple[int, float]]:
    rows, scores = found.column("row").to_pylist(), found.column("_score").to_pylist()
    return list(zip(rows, scores, strict=True))


async def _opened(folder: Path) -> Any:
    database = await cast("Any", lancedb).connect_async(folder)
    return await database.open_table(TABLE)
