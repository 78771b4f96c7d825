"""Which rows have which value and say which word: one build's filters and counts, by array.

    values.json     {"colour": {"blue": 2, "red": 3}, ..., "said": {"boat": 4, ...}}: how many rows
                    each value of a field has, and each stem of the captions
    postings.npy    those rows' numbers, int32, value after value in that order, less those of
    bitmaps.npy     values of a 32nd of the rows and more: a bit for each row takes less there

Why beside an engine's own indices: a picture search needs the rows that a filter leaves, and chips
need the counts of all values under any filter and any words. Both are array operations here
(1,000,000 rows: a few milliseconds), while an engine hands rows out one by one: of words that
100,000 captions say, tantivy made as many objects in 40 ms. Rows are numbers; images and captions
are not known. Files are mapped, and a process keeps some 200 bytes for each value and stem.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from finecap.search.checks import check_field
from finecap.search.index import IndexRefused
from finecap.search.query import FIELDS, And, Filter, Has, Not, Or

VALUES = "values.json"
POSTINGS = "postings.npy"
BITMAPS = "bitmaps.npy"
_SAID = "said"
_DENSE = 32
"""A value of one in so many rows or more is a bitmap: N / 8 bytes, where a row's number takes 4."""

Mask = NDArray[np.bool_]
"""(N,), True: the row counts."""


def write_postings(
    folder: Path, columns: Mapping[str, Sequence[Sequence[str]]], said: Iterable[str]
) -> None:
    """Write the files.

    Args:
        folder: of the build.
        columns: the values of every row for each of `FIELDS`.
        said: the stems of every row's caption, spaces between.
    """
    fields = {name: columns[name] for name in FIELDS}
    counts: dict[str, dict[str, int]] = {}
    sparse, dense = [np.zeros(0, np.int32)], list[NDArray[np.uint8]]()
    total = len(columns[FIELDS[0]])
    for name, rows in (*fields.items(), (_SAID, (stems.split() for stems in said))):
        rows_of = _rows_of(rows)
        counts[name] = {value: len(rows_of[value]) for value in sorted(rows_of)}
        for value, count in counts[name].items():
            numbers = np.asarray(rows_of.pop(value), dtype=np.int32)
            if count * _DENSE < total:
                sparse.append(numbers)
            else:
                dense.append(_packed(_mask_of(numbers, total)))
    (folder / VALUES).write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    np.save(folder / POSTINGS, np.concatenate(sparse))
    np.save(folder / BITMAPS, np.stack(dense) if dense else np.zeros((0, 8), np.uint8))


def _rows_of(rows: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    """The rows' numbers by value."""
    rows_of: dict[str, list[int]] = {}
    for row, values in enumerate(rows):
        for value in set(values):
            rows_of.setdefault(value, []).append(row)
    return rows_of


def _mask_of(numbers: NDArray[np.int32], rows: int) -> Mask:
    found = np.zeros(rows, dtype=np.bool_)
    found[numbers] = True
    return found


def _packed(mask: Mask) -> NDArray[np.uint8]:
    """A bit for each row, (N,) -> (ceil(N / 64) * 8,): zeros fill the last eight bytes."""
    bits = np.packbits(mask, bitorder="little")
    return np.pad(bits, (0, -len(bits) % 8))


class Postings:
    """The rows of each value of each field of one build, and of each stem that its captions say."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Map the files; a build of before stems and bitmaps were written has none.

        Raises:
            IndexRefused: they are missing, or not of one another.
        """
        if not (folder / VALUES).is_file():
            raise IndexRefused(
                f"{folder} has no {VALUES}, expected a build of this version: build the index anew"
            )
        counts = json.loads((folder / VALUES).read_text(encoding="utf-8"))
        self._counts = cast("dict[str, dict[str, int]]", counts)
        self._postings = _mapped(folder / POSTINGS)
        self.rows = rows
        self._numbers: dict[str, dict[str, int]] = {}  # of each field's values, in their order
        self._values: dict[str, NDArray[np.object_]] = {}
        first = 0
        for name, values in self._counts.items():
            self._numbers[name] = {value: first + at for at, value in enumerate(values)}
            self._values[name] = np.array(list(values), np.object_)
            first += len(values)
        every = chain.from_iterable(values.values() for values in self._counts.values())
        self._sizes = np.fromiter(every, np.int64, first)
        has_bitmaps = (folder / BITMAPS).is_file()
        self._is_dense = self._sizes * _DENSE >= rows if has_bitmaps else np.zeros(first, np.bool_)
        self._bitmaps = _mapped(folder / BITMAPS) if has_bitmaps else np.zeros((0, 8), np.uint8)
        self._bitmap = np.cumsum(self._is_dense) - 1  # of each dense value
        ends = np.cumsum(np.where(self._is_dense, 0, self._sizes))
        self._starts = np.append(0, ends)  # of each value, and the last one's end
        if (self._starts[-1], self._is_dense.sum()) != (len(self._postings), len(self._bitmaps)):
            raise IndexRefused(
                f"{folder}: {VALUES} counts {self._starts[-1]} rows and {self._is_dense.sum()} "
                f"bitmaps, {POSTINGS} and {BITMAPS} have others"
            )

    def mask(self, filter_: Filter) -> Mask:
        """Which rows pass, (N,).

        Raises:
            IndexRefused: a field no row has.
        """
        match filter_:
            case Has(field, value):
                check_field(field)
                return self._having(field, value)
            case Not(inner):
                return ~self.mask(inner)
            case And(filters):
                return np.logical_and.reduce([self._all(), *map(self.mask, filters)])
            case Or(filters):
                return np.logical_or.reduce([~self._all(), *map(self.mask, filters)])

    def saying(self, stems: Iterable[str]) -> Mask | None:
        """Which rows' captions have one of the stems, (N,); None where stems were not written."""
        if _SAID not in self._counts:
            return None
        return np.logical_or.reduce([~self._all(), *(self._having(_SAID, s) for s in stems)])

    def values(self, field: str) -> Mapping[str, int]:
        """How many rows have each value of the field, values in order."""
        return self._counts[field]

    def counts(self, mask: Mask | None) -> dict[str, dict[str, int]]:
        """Rows with each value, of all rows or of those in `mask`, (N,); most frequent first."""
        found = self._sizes if mask is None else self._found(mask)
        ends = np.cumsum([len(self._values[name]) for name in FIELDS])
        of_fields = zip(FIELDS, np.split(found, ends), strict=False)  # behind them: stems
        return {name: _most_first(self._values[name], part) for name, part in of_fields}

    def _having(self, field: str, value: str) -> Mask:
        """Which rows have the value, (N,)."""
        number = self._numbers[field].get(value)
        if number is None:
            return ~self._all()
        if self._is_dense[number]:
            bits = np.unpackbits(
                self._bitmaps[self._bitmap[number]], count=self.rows, bitorder="little"
            )
            return bits.view(np.bool_)
        return _mask_of(self._postings[self._starts[number] : self._starts[number + 1]], self.rows)

    def _found(self, mask: Mask) -> NDArray[np.int64]:
        """How many rows of the mask have each value of each of `FIELDS`."""
        count = sum(len(self._counts[name]) for name in FIELDS)
        found = np.zeros(count, np.int64)
        is_dense = self._is_dense[:count]
        if not is_dense.all():
            starts = self._starts[:count][~is_dense]
            chosen = mask.take(self._postings[: self._starts[count]])
            found[~is_dense] = np.add.reduceat(chosen.view(np.uint8), starts, dtype=np.int32)
        words = _packed(mask).view(np.uint64)
        found[is_dense] = [
            np.bitwise_count(bits.view(np.uint64) & words).sum(dtype=np.int64)
            for bits in self._bitmaps[: is_dense.sum()]
        ]
        return found

    def _all(self) -> Mask:
        return np.ones(self.rows, dtype=np.bool_)


def _mapped(path: Path) -> NDArray[Any]:
    """The array of a file, its pages read when they are used."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _most_first(values: NDArray[np.object_], found: NDArray[np.int64]) -> dict[str, int]:
    """Values of one field that any row has, with how many; (values,) each, ties by value."""
    some = np.flatnonzero(found)
    order = some[np.argsort(-found[some], kind="stable")]
    counted = dict(zip(values[order].tolist(), found[order].tolist(), strict=True))
    counted.pop("", None)
    return counted
