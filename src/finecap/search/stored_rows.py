"""All that a build on one machine keeps of its images, by row number or by image; never searched.

    rows.bin      blocks of sixteen rows in image order, each compressed
    rows.npy      where each block starts and, last, where the file ends
    blocks.json   the first image of each block

Why not the engine's own table: reading ten rows of fifteen columns out of LanceDB took 4 ms of
processor, more than finding them; ten blocks take 1. Vectors of images lie in `vectors.py`'s file.
"""

import base64
import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from finecap.search.index import Derived, IndexRefused, Row, StoredCaption, Vector
from finecap.search.query import ATTRIBUTES

ROWS, STARTS, BLOCKS = "rows.bin", "rows.npy", "blocks.json"
_PER_BLOCK = 16
_REMEMBERED = 2_000
"""Rows kept as they were read, some 10 kB each with all that was said of them."""
_NO_VECTOR = np.zeros(0, np.float32)


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write the rows, given in image order; their vectors are left out."""
    starts, firsts = [0], list[str]()
    remaining = iter(rows)
    with (folder / ROWS).open("wb") as handle:
        while block := list(islice(remaining, _PER_BLOCK)):
            firsts.append(block[0].image)
            text = json.dumps([_packed(row) for row in block], separators=(",", ":"))
            handle.write(zlib.compress(text.encode()))
            starts.append(handle.tell())
    np.save(folder / STARTS, np.asarray(starts, dtype=np.int64))
    (folder / BLOCKS).write_text(json.dumps(firsts), encoding="utf-8")


class StoredRows:
    """The rows of one build, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Map the files.

        Raises:
            IndexRefused: they are missing.
        """
        if not (folder / BLOCKS).is_file():
            raise IndexRefused(
                f"{folder} has no {BLOCKS}, expected a build of this version: build the index anew"
            )
        starts: NDArray[np.int64] = np.load(folder / STARTS, allow_pickle=False)
        self._starts = starts
        self._bytes = np.memmap(folder / ROWS, mode="r")
        firsts = json.loads((folder / BLOCKS).read_text(encoding="utf-8"))
        self._firsts = cast("list[str]", firsts)
        self._read: dict[int, Row] = {}

    def row(self, number: int) -> Row:
        """The row of that number; its vector is empty."""
        found = self._read.get(number)
        if found is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            found = _unpacked(self._block(number // _PER_BLOCK)[number % _PER_BLOCK])
            self._read[number] = found
        return found

    def number(self, image: str) -> int | None:
        """The number of the image's row; None where the build does not hold it."""
        block = bisect_right(self._firsts, image) - 1
        if block < 0:
            return None
        images = [packed[0] for packed in self._block(block)]
        return block * _PER_BLOCK + images.index(image) if image in images else None

    def _block(self, block: int) -> list[list[Any]]:
        piece = self._bytes[self._starts[block] : self._starts[block + 1]]
        return cast("list[list[Any]]", json.loads(zlib.decompress(piece.tobytes())))


def _packed(row: Row) -> list[Any]:
    attributes = [list(row.attributes.get(name, ())) for name in ATTRIBUTES]
    others = [
        [s.caption, s.source, s.model_version, s.variant, [astuple(d) for d in s.derived],
         list(s.trained), _coded(s.vector)]
        for s in row.others
    ]  # fmt: skip
    return [
        row.image, row.path, row.caption, attributes, row.split, row.model_version, row.variant,
        others, _coded(row.caption_vector), row.hidden,
    ]  # fmt: skip


def _unpacked(packed: Sequence[Any]) -> Row:
    image, path, caption, attributes, split, version, variant, others, coded, hidden = packed
    values: dict[str, tuple[str, ...]] = {
        name: tuple(said) for name, said in zip(ATTRIBUTES, attributes, strict=True)
    }
    stored = tuple(_stored_caption(*other) for other in others)
    return Row(
        image, path, caption, _NO_VECTOR, values, split, version, variant, stored,
        _decoded(coded), hidden,
    )  # fmt: skip


def _stored_caption(
    caption: str,
    source: Any,
    model_version: str,
    variant: str,
    derived: Sequence[Sequence[Any]],
    trained: Sequence[str],
    coded: str | None,
) -> StoredCaption:
    made = tuple(Derived(*fields) for fields in derived)
    return StoredCaption(
        caption, source, model_version, variant, derived=made, trained=tuple(trained),
        vector=_decoded(coded),
    )  # fmt: skip


def _coded(vector: Vector | None) -> str | None:
    """Half precision, as text."""
    return None if vector is None else base64.b85encode(vector.astype("<f2").tobytes()).decode()


def _decoded(coded: str | None) -> Vector | None:
    return None if coded is None else np.frombuffer(base64.b85decode(coded), "<f2").astype("f4")
