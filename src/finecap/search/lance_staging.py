"""Rows of a build in the making, as LanceDB stages them: to Arrow and back.

A staged table takes rows in any order, replaced and deleted at will; sealing reads it once. Vectors
are halved here, so what is measured before sealing is what is served.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

from finecap.search.index import Derived, Row, StoredCaption, Vector
from finecap.search.query import ATTRIBUTES

_pa = cast("Any", pa)
_TEXTS = ("image", "path", "caption", "split", "model_version", "variant", "hidden")


def _stored_type() -> Any:
    """The Arrow type of a caption beside the one that is searched."""
    texts = [(name, _pa.string()) for name in ("caption", "source", "model_version", "variant")]
    derived = [("text", _pa.string()), ("is_grammatical", _pa.bool_()), ("change", _pa.string())]
    lists = [
        ("derived", _pa.list_(_pa.struct(derived))),
        ("trained", _pa.list_(_pa.string())),
        ("vector", _pa.binary()),
    ]
    return _pa.struct([*texts, *lists])


def schema(dims: int) -> Any:
    """The Arrow schema of staged rows of so many dims."""
    texts = [(name, _pa.string()) for name in _TEXTS]
    lists = [(name, _pa.list_(_pa.string())) for name in ATTRIBUTES]
    others = [("others", _pa.list_(_stored_type())), ("caption_vector", _pa.binary())]
    return _pa.schema([*texts, *lists, *others, ("vector", _pa.list_(_pa.float16(), dims))])


def arrow_of(rows: list[Row], dims: int) -> Any:
    """Rows as an Arrow table of the staging schema; vectors become fp16."""
    typed = schema(dims)
    vectors = np.stack([row.vector for row in rows]).astype(np.float16)  # (N, D)
    columns = [_pa.array([getattr(row, name) for row in rows], _pa.string()) for name in _TEXTS]
    columns += [
        _pa.array([list(row.attributes.get(name, ())) for row in rows], _pa.list_(_pa.string()))
        for name in ATTRIBUTES
    ]
    others = [[_record(stored) for stored in row.others] for row in rows]
    columns.append(_pa.array(others, typed.field("others").type))
    encoded = [_halves(row.caption_vector) for row in rows]
    columns.append(_pa.array(encoded, typed.field("caption_vector").type))
    columns.append(_pa.FixedSizeListArray.from_arrays(_pa.array(vectors.reshape(-1)), dims))
    return _pa.Table.from_arrays(columns, schema=typed)


def _record(stored: StoredCaption) -> dict[str, Any]:
    """The caption as a record of the staging schema."""
    return {
        "caption": stored.caption,
        "source": stored.source,
        "model_version": stored.model_version,
        "variant": stored.variant,
        "derived": [asdict(derived) for derived in stored.derived],
        "trained": list(stored.trained),
        "vector": _halves(stored.vector),
    }


def row_of(record: Mapping[str, Any]) -> Row:
    """A record of the staging schema, less its vector, as the row it was."""
    others = tuple(
        StoredCaption(
            **{name: other[name] for name in ("caption", "source", "model_version", "variant")},
            derived=tuple(Derived(**derived) for derived in other["derived"]),
            trained=tuple(other["trained"]),
            vector=_floats(other["vector"]),
        )
        for other in record["others"]
    )
    return Row(
        **{name: record[name] for name in _TEXTS},
        vector=np.zeros(0, np.float32),
        attributes={name: tuple(record[name]) for name in ATTRIBUTES},
        others=others,
        caption_vector=_floats(record["caption_vector"]),
    )


def _floats(halves: bytes | None) -> Vector | None:
    return None if halves is None else np.frombuffer(halves, "<f2").astype(np.float32)


def _halves(vector: Vector | None) -> bytes | None:
    """As bytes: Lance guesses at lists of numbers whose name speaks of vectors."""
    return None if vector is None else vector.astype("<f2").tobytes()


def reclaim(table: Any) -> None:
    """Keep a build that is filled again and again from growing: replaced rows leave the disk."""
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
