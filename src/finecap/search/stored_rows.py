"""All that a build on one machine keeps of its images, by row number or by image; never searched.

    rows.bin      rows in image order, in compressed blocks of some 1,500 bytes of text or one row
    rows.npy      (blocks + 1, 2): where each block starts, and the number of its first row
    blocks.json   the first image of each block

A row is two lines of JSON: what a hit shows and filters ask, then all else that was said of the
image. Why not a table of LanceDB's: reading ten rows of fifteen columns out of one took 4 ms of
processor, more than finding them; ten blocks take 0.1. Vectors of images lie elsewhere.
"""

import base64
import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from finecap.search.index import Derived, Hit, IndexRefused, Row, StoredCaption, Vector
from finecap.search.query import ATTRIBUTES

ROWS, STARTS, BLOCKS = "rows.bin", "rows.npy", "blocks.json"
_BLOCK_BYTES = 1_500
"""Of text: half would take 8 % more room, twice as much half as long again to read."""
_REMEMBERED = 2_000
"""Hits kept as they were read."""
_NO_VECTOR = np.zeros(0, np.float32)


def packed(row: Row) -> str:
    """The row, less its vector, as the two lines that are stored."""
    attributes = [list(row.attributes.get(name, ())) for name in ATTRIBUTES]
    others = [
        [s.caption, s.source, s.model_version, s.variant, [astuple(d) for d in s.derived],
         list(s.trained), _coded(s.vector)]
        for s in row.others
    ]  # fmt: skip
    shown = [row.image, row.path, row.caption, attributes, row.split, row.model_version]
    told = [row.variant, others, _coded(row.caption_vector), row.hidden]
    return f"{_json(shown)}\n{_json(told)}"


def shown(text: str) -> tuple[str, dict[str, Sequence[str]]]:
    """Of a packed row, the caption and the values of each field that a filter can ask for."""
    _, _, caption, attributes, split, version = json.loads(text[: text.index("\n")])
    values: dict[str, Sequence[str]] = dict(zip(ATTRIBUTES, attributes, strict=True))
    return caption, values | {"split": (split,), "model_version": (version,)}


def write_rows(folder: Path, images: Iterable[str], rows: Iterable[str]) -> None:
    """Write the rows, packed and in image order."""
    starts, firsts = [(0, 0)], list[str]()
    number, block, size = 0, list[str](), 0
    with (folder / ROWS).open("wb") as handle:

        def close_block() -> None:
            handle.write(zlib.compress("\n".join(block).encode()))
            starts.append((handle.tell(), number))
            block.clear()

        for image, row in zip(images, rows, strict=True):
            if block and size + len(row) > _BLOCK_BYTES:
                close_block()
                size = 0
            if not block:
                firsts.append(image)
            block.append(row)
            number, size = number + 1, size + len(row)
        if block:
            close_block()
    np.save(folder / STARTS, np.asarray(starts, dtype=np.int64))
    (folder / BLOCKS).write_text(json.dumps(firsts), encoding="utf-8")


class StoredRows:
    """The rows of one build, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Map the files.

        Raises:
            IndexRefused: they are missing, or another version's.
        """
        starts = np.load(folder / STARTS) if (folder / BLOCKS).is_file() else np.zeros(0)
        if starts.ndim != 2:  # noqa: PLR2004 - bytes and rows
            raise IndexRefused(
                f"{folder} has no {BLOCKS} and {STARTS} of this version: build the index anew"
            )
        self._starts = cast("NDArray[np.int64]", starts)
        self._first_rows = self._starts[:, 1].tolist()
        self._bytes = np.memmap(folder / ROWS, mode="r")
        firsts = json.loads((folder / BLOCKS).read_text(encoding="utf-8"))
        self._firsts = cast("list[str]", firsts)
        self._hits: dict[int, Hit] = {}
        self._last: tuple[int, list[str]] = (-1, [])  # the block read last, and its lines

    def hit(self, number: int) -> Hit:
        """What a hit on the row of that number shows; its scores are not known here."""
        found = self._hits.get(number)
        if found is None:
            if len(self._hits) >= _REMEMBERED:
                self._hits.clear()
            image, path, caption, attributes, *_ = json.loads(self._lines(number)[0])
            found = Hit(image, path, caption, 0.0, attributes=_values(attributes))
            self._hits[number] = found
        return found

    def row(self, number: int) -> Row:
        """The row of that number; its vector is empty."""
        first, second = self._lines(number)
        image, path, caption, attributes, split, version = json.loads(first)
        variant, others, coded, hidden = json.loads(second)
        return Row(
            image, path, caption, _NO_VECTOR, _values(attributes), split, version, variant,
            tuple(_stored_caption(*other) for other in others), _decoded(coded), hidden,
        )  # fmt: skip

    def number(self, image: str) -> int | None:
        """The number of the image's row; None where the build does not hold it."""
        block = bisect_right(self._firsts, image) - 1
        if block < 0:
            return None
        images = [json.loads(line)[0] for line in self._block(block)[::2]]
        return self._first_rows[block] + images.index(image) if image in images else None

    def _lines(self, number: int) -> list[str]:
        """Both lines of the row."""
        block = bisect_right(self._first_rows, number) - 1
        at = 2 * (number - self._first_rows[block])
        return self._block(block)[at : at + 2]

    def _block(self, block: int) -> list[str]:
        """All lines of the block; the last one is kept, since rows are often read in order."""
        held, lines = self._last
        if held != block:
            piece = self._bytes[self._starts[block, 0] : self._starts[block + 1, 0]]
            lines = zlib.decompress(piece.data).decode().split("\n")
            self._last = (block, lines)
        return lines


def _json(values: Sequence[Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


def _values(attributes: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(said) for name, said in zip(ATTRIBUTES, attributes, strict=True)}


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
