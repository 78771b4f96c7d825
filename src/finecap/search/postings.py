"""Which rows have which value: filters and counts of one build, answered from one flat file.

    values.json     {"colour": {"blue": 2, "red": 3}, ...}: how many rows each value has
    postings.npy    those rows' numbers, int32, value after value in that order

Why beside an engine's own attribute indices: a picture search needs the rows that a filter leaves,
and chips need the counts of all values under any filter. Both are array operations here (1,000,000
rows: a few milliseconds), while an engine hands rows out one by one. Rows are numbers; images and
captions are not known.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from finecap.search.checks import check_field
from finecap.search.index import IndexRefused
from finecap.search.query import FIELDS, And, Filter, Has, Not, Or

VALUES = "values.json"
POSTINGS = "postings.npy"

Mask = NDArray[np.bool_]
"""(N,), True: the row counts."""


def write_postings(folder: Path, columns: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Write both files; `columns` gives the values of every row for each of `FIELDS`."""
    counts: dict[str, dict[str, int]] = {}
    parts: list[NDArray[np.int32]] = []
    for name in FIELDS:
        rows_of: dict[str, list[int]] = {}
        for row, values in enumerate(columns[name]):
            for value in set(values):
                rows_of.setdefault(value, []).append(row)
        counts[name] = {value: len(rows_of[value]) for value in sorted(rows_of)}
        parts += [np.asarray(rows_of[value], dtype=np.int32) for value in counts[name]]
    (folder / VALUES).write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    np.save(folder / POSTINGS, np.concatenate(parts) if parts else np.zeros(0, np.int32))


class Postings:
    """The rows of each value of each field of one build."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Map the files.

        Raises:
            IndexRefused: they are missing, or not of one another.
        """
        if not (folder / VALUES).is_file():
            raise IndexRefused(
                f"{folder} has no {VALUES}, expected a build of this version: build the index anew"
            )
        counts = json.loads((folder / VALUES).read_text(encoding="utf-8"))
        self._counts = cast("dict[str, dict[str, int]]", counts)
        self._postings = cast(
            "NDArray[np.int32]", np.load(folder / POSTINGS, mmap_mode="r", allow_pickle=False)
        )
        self.rows = rows
        self._spans: dict[tuple[str, str], slice] = {}
        at = 0
        for name, values in self._counts.items():
            for value, count in values.items():
                self._spans[name, value] = slice(at, at + count)
                at += count
        if at != len(self._postings):
            raise IndexRefused(f"{folder}: {VALUES} counts {at} rows, {POSTINGS} has others")

    def mask(self, filter_: Filter) -> Mask:
        """Which rows pass, (N,).

        Raises:
            IndexRefused: a field no row has.
        """
        match filter_:
            case Has(field, value):
                check_field(field)
                found = np.zeros(self.rows, dtype=np.bool_)
                found[self._postings[self._spans.get((field, value), slice(0, 0))]] = True
                return found
            case Not(inner):
                return ~self.mask(inner)
            case And(filters):
                return np.logical_and.reduce([self._all(), *map(self.mask, filters)])
            case Or(filters):
                return np.logical_or.reduce([~self._all(), *map(self.mask, filters)])

    def values(self, field: str) -> Mapping[str, int]:
        """How many rows have each value of the field, values in order."""
        return self._counts[field]

    def counts(self, mask: Mask | None) -> dict[str, dict[str, int]]:
        """Rows with each value, of all rows or of those in `mask`, (N,); most frequent first."""
        return {name: self._field_counts(name, mask) for name in FIELDS}

    def _field_counts(self, name: str, mask: Mask | None) -> dict[str, int]:
        values = self._counts[name]
        if mask is not None and values:
            sizes = np.fromiter(values.values(), np.int64, len(values))
            starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            first = self._spans[name, next(iter(values))].start
            chosen = mask[self._postings[first : first + int(sizes.sum())]]
            found = np.add.reduceat(chosen, starts, dtype=np.int64)
            values = dict(zip(values, found.tolist(), strict=True))
        kept = {value: count for value, count in values.items() if value and count}
        return dict(sorted(kept.items(), key=lambda item: (-item[1], item[0])))

    def _all(self) -> Mask:
        return np.ones(self.rows, dtype=np.bool_)
