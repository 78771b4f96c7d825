"""Rows of a build in the making, as LanceDB stages them.

A staged table takes rows in any order, replaced and deleted at will; sealing reads it once. A row
is staged in the form in which it will be stored, so it is written once; only its key, by which it
is replaced, and its vector are columns. Vectors are halved here, so what is measured before sealing
is what is served.
"""

from datetime import timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

from finecap.search.index import Row
from finecap.search.stored_rows import packed

_pa = cast("Any", pa)


def schema(dims: int) -> Any:
    """The Arrow schema of staged rows of so many dims."""
    texts = [("image", _pa.string()), ("row", _pa.string())]
    return _pa.schema([*texts, ("vector", _pa.list_(_pa.float16(), dims))])


def arrow_of(rows: list[Row], dims: int) -> Any:
    """Rows as an Arrow table of the staging schema; vectors become fp16."""
    vectors = np.stack([row.vector for row in rows]).astype(np.float16)  # (N, D)
    columns = [
        _pa.array([row.image for row in rows], _pa.string()),
        _pa.array([packed(row) for row in rows], _pa.string()),
        _pa.FixedSizeListArray.from_arrays(_pa.array(vectors.reshape(-1)), dims),
    ]
    return _pa.Table.from_arrays(columns, schema=schema(dims))


def reclaim(table: Any) -> None:
    """Keep a build that is filled again and again from growing: replaced rows leave the disk."""
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
