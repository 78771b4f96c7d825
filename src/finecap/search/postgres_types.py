"""How vectors and words travel to PostgreSQL and back: in its binary formats, without detours.

Half-precision vectors as pgvector sends them, word lists as `tsvector` is received. Words are
analysed here and not there, so that all engines know the same stems and stop words whatever
dictionaries a server has.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from finecap.search.index import IndexRefused, Vector
from finecap.search.query import analysed

_MOST_POSITION = 16_383  # of a word in a tsvector; later ones count as there
_MOST_BYTES = 2_046  # of a word in a tsvector


class Words:
    """The words of a text, stemmed: a `tsvector`."""

    def __init__(self, text: str) -> None:
        """Analyse the text; words longer than PostgreSQL stores are left out."""
        self.places: dict[str, list[int]] = {}
        words = analysed(text)
        self.length = len(words)
        for place, word in enumerate(words, start=1):
            if len(word.encode()) <= _MOST_BYTES:
                self.places.setdefault(word, []).append(min(place, _MOST_POSITION))

    def any_of(self) -> str:
        """As a `tsquery` that any of the words satisfies; "" without words."""
        return " | ".join(map(quoted, self.places))


def quoted(word: str) -> str:
    """One analysed word as a `tsquery`; such words are letters and digits alone."""
    return f"'{word}'"


def register_types(connection: psycopg.Connection[Any]) -> None:
    """Let the connection send `np.ndarray` as halfvec, `Words` as tsvector, and read halfvec.

    Raises:
        IndexRefused: the database has no halfvec.
    """
    halfvec = TypeInfo.fetch(connection, "halfvec")
    if halfvec is None:
        raise IndexRefused("the database has no type `halfvec`, expected pgvector >= 0.7")
    halfvec.register(connection)
    connection.adapters.register_dumper(
        np.ndarray, type("HalfvecOf", (_HalfvecDumper,), {"oid": halfvec.oid})
    )
    connection.adapters.register_loader(halfvec.oid, _HalfvecLoader)
    connection.adapters.register_dumper(Words, _WordsDumper)


class _HalfvecDumper(Dumper):
    """(D,) floats: count, a reserved 0, then the halves, all big-endian."""

    format = Format.BINARY

    def dump(self, obj: NDArray[np.floating]) -> bytes:
        return struct.pack(">HH", len(obj), 0) + obj.astype(">f2").tobytes()


class _HalfvecLoader(Loader):
    """The same, read."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Vector:
        return np.frombuffer(bytes(data), dtype=">f2", offset=4).astype(np.float32)


class _WordsDumper(Dumper):
    """Number of words; each with a closing 0, how often it comes, and where."""

    format = Format.BINARY
    oid = psycopg.postgres.types["tsvector"].oid

    def dump(self, obj: Words) -> bytes:
        words = [_entry(word, places) for word, places in obj.places.items()]
        return struct.pack(">I", len(words)) + b"".join(words)


def _entry(word: str, places: Sequence[int]) -> bytes:
    distinct = sorted(set(places))[:255]  # more are not kept by any server
    return word.encode() + struct.pack(f">xH{len(distinct)}H", len(distinct), *distinct)
