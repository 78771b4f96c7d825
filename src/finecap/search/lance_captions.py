"""Captions of one sealed build, ranked by BM25 under filters: the part that LanceDB answers.

Why these tokenizer options: stemming, because a person who types "boats" wants "boat"; our own stop
words, because words of place tell captions apart (see `query.STOP_WORDS`); no positions, because
phrases are not searched and they double the index. Measured on 1,500 drawn captions against a BM25
of ours: top-10 overlap 1.0 (three words) and 0.91 (whole captions) with the same stems and stop
words; against bare words 0.78 and 0.61 where a tenth of the nouns are plurals. Without stemming
those would be 0.96 and 0.78, and "boats" would find no boat.

Why a column for each frequent value: under the index of a list column LanceDB took 17 ms for a
value that 5 % of 1,000,000 captions have, under a bitmap 4; rare values are quick either way.
"""

import shutil
from collections.abc import Mapping
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
from finecap.search.postings import Postings
from finecap.search.query import ATTRIBUTES, FIELDS, STOP_WORDS, And, Filter, Has, Not, Or

TABLE = "captions"
_FREQUENT, _LEAST = 0.005, 1000
"""A value has a column of its own from this share of rows, and from so many rows, on."""

_pa = cast("Any", pa)
_match = cast("Any", lance_query.MatchQuery)

Flags = Mapping[tuple[str, str], str]
"""Columns of frequent values, by field and value."""


def flags_of(postings: Postings) -> Flags:
    """The columns that a build with these postings has."""
    least = max(_LEAST, int(_FREQUENT * postings.rows))
    frequent = [
        (field, value)
        for field in ATTRIBUTES
        for value, count in postings.values(field).items()
        if count >= least
    ]
    return {has: f"flag_{i}" for i, has in enumerate(frequent)}


def write_captions(folder: Path, table: Any, postings: Postings) -> None:
    """Write and index the captions of `table`, an Arrow table whose rows the postings number."""
    shutil.rmtree(folder / f"{TABLE}.lance", ignore_errors=True)  # of a finish that failed
    chosen = table.select(["caption", *FIELDS])
    chosen = chosen.append_column("row", _pa.array(np.arange(table.num_rows, dtype=np.int64)))
    flags = flags_of(postings)
    for (field, value), name in flags.items():
        chosen = chosen.append_column(name, _pa.array(postings.mask(Has(field, value)).view("u1")))
    made = cast("Any", lancedb.connect(folder)).create_table(TABLE, chosen)
    made.create_index("caption", config=_full_text())
    for field in FIELDS:
        made.create_index(field, config=LabelList() if field in ATTRIBUTES else Bitmap())
    for name in flags.values():
        made.create_index(name, config=Bitmap())


def _full_text() -> FTS:
    return FTS(
        with_position=False,
        stem=True,
        ascii_folding=True,
        remove_stop_words=True,
        custom_stop_words=list(STOP_WORDS),
    )


def sql(filter_: Filter, flags: Flags) -> str:
    """The filter in Lance's own language; values are quoted, fields are checked.

    Raises:
        IndexRefused: a field no row has.
    """
    match filter_:
        case Has(field, value):
            check_field(field)
            literal = "'" + value.replace("'", "''") + "'"
            if (field, value) in flags:
                return f"{flags[field, value]} = 1"
            listed = field in ATTRIBUTES
            return f"array_has_any({field}, [{literal}])" if listed else f"{field} = {literal}"
        case Not(inner):
            return f"(NOT {sql(inner, flags)})"
        case And(filters):
            return "(" + " AND ".join(sql(f, flags) for f in filters) + ")" if filters else "true"
        case Or(filters):
            return "(" + " OR ".join(sql(f, flags) for f in filters) + ")" if filters else "false"


class RankedCaptions:
    """The captions of a build, open for reading."""

    def __init__(self, folder: Path, postings: Postings) -> None:
        """Open the table."""
        self._flags = flags_of(postings)
        self._table = LOOP.run(_opened(folder))

    def count(self) -> int:
        """How many captions there are."""
        return LOOP.run(self._table.count_rows())

    def saying(self, text: str, filter_: Filter | None, limit: int) -> list[tuple[int, float]]:
        """Row numbers and BM25 scores of the best, best first; ties as they come."""
        found = LOOP.run(self._asked(text, filter_, limit))
        rows, scores = found.column("row").to_pylist(), found.column("_score").to_pylist()
        return list(zip(rows, scores, strict=True))

    def all_saying(self, text: str) -> NDArray[np.int64]:
        """Numbers of all rows whose caption has one of the words, in no order."""
        most = max(1, self.count())
        return LOOP.run(self._asked(text, None, most)).column("row").to_numpy()

    async def _asked(self, text: str, filter_: Filter | None, limit: int) -> Any:
        """An Arrow table. One trip to the engine, where its synchronous form takes six."""
        query = self._table.query().nearest_to_text(_match(text, "caption"))
        if filter_ is not None:
            query = query.where(sql(filter_, self._flags))
        return await query.select(["row", "_score"]).limit(limit).to_arrow()


async def _opened(folder: Path) -> Any:
    database = await cast("Any", lancedb).connect_async(folder)
    return await database.open_table(TABLE)
