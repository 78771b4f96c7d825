"""Exact nearest neighbours over a flat fp16 file: the vector half of a build on one machine.

Why no approximate index: filtered approximate search is where engines lose recall, while 200,000
half-precision vectors of 512 are scanned in about 10 ms by one thread. Where there are so many, a
first look at smaller codes (`codes.py`) names some that may be nearest, and their cosines are
computed exactly; that answer stands only where it is surely the scan's. Which rows a filter leaves
is told from outside; rows are numbers here, images are not known.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, cast

import faiss  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from finecap.search.codes import Codes
from finecap.search.index import Vector

Nearest = list[tuple[int, float]]
"""Row numbers and their cosines, best first, ties by row."""

_SPREADS = 6
"""Spreads of the first look's error by which it may be wrong of a row that it leaves out."""
_SPARE, _WIDER = 100, 4
_SCANNED_SHARE = 8
"""Where more than one in so many rows has to be computed exactly, all are scanned."""

_faiss = cast("Any", faiss)  # its wrappers are generated without types


def write_vectors(path: Path, vectors: NDArray[np.float16]) -> None:
    """Write the (N, D) matrix, C order, as .npy; the folder it lies in is renamed when whole."""
    with path.open("wb") as handle:
        np.save(handle, np.ascontiguousarray(vectors), allow_pickle=False)


class FlatVectors:
    """An immutable (N, D) fp16 file of unit-length vectors, searched exactly by cosine."""

    def __init__(self, path: Path, codes: Codes | None = None) -> None:
        """Map the file; `codes` are those of the same vectors."""
        stored = self._stored = np.load(path, mmap_mode="r", allow_pickle=False)  # (N, D)
        self.rows, self.dims = (int(size) for size in stored.shape)
        self._codes = codes

    def vector(self, row: int) -> Vector:
        """One row as it is stored, (D,)."""
        return np.asarray(self._stored[row], dtype=np.float32)

    def nearest(self, vector: Vector, limit: int, left: NDArray[np.int64] | None = None) -> Nearest:
        """The nearest rows and their cosines, best first, ties by row.

        Args:
            vector: (D,), unit length.
            limit: rows wanted.
            left: row numbers that a filter leaves; None for all.
        """
        count = self.rows if left is None else len(left)
        wanted = min(limit, count)
        if not wanted:
            return []
        only = None if left is None else self._only(left)
        found = self._refined(vector, wanted, count, only) if self._codes else None
        return found or self._scanned(vector, wanted, only)

    def _scanned(self, vector: Vector, wanted: int, only: Any) -> Nearest:
        """`nearest` by the cosine of every row."""
        asked = np.ascontiguousarray(vector, dtype=np.float32)[None]  # (1, D)
        scores, rows = self._scanner.search(asked, wanted, params=only)  # (1, wanted) each
        return _ordered(rows[0], scores[0])

    def _refined(self, vector: Vector, wanted: int, count: int, only: Any) -> Nearest | None:
        """`nearest` by a first look at the `count` rows; None where that does not suffice."""
        codes = cast("Codes", self._codes)
        looked = min(2 * wanted + _SPARE, count)
        while looked == count or looked * _SCANNED_SHARE <= count:
            rows, estimates = codes.best(vector, looked, only)  # (looked,) each
            # In fp64, where the same vector has the same cosine wherever it lies in a batch.
            exact = self._stored[rows].astype(np.float64) @ vector.astype(np.float64)
            if looked == count or _is_settled(exact, estimates, wanted):
                return _ordered(rows, exact.astype(np.float32))[:wanted]
            looked = min(_WIDER * looked, count)
        return None

    @cached_property
    def _scanner(self) -> Any:
        """All rows in memory. Made when it is needed: beside codes it seldom is."""
        scanner = _faiss.IndexScalarQuantizer(
            self.dims, _faiss.ScalarQuantizer.QT_fp16, _faiss.METRIC_INNER_PRODUCT
        )
        # fp16 values are the quantizer's codes: the bytes are taken over, nothing is converted.
        scanner.add_sa_codes(self._stored.view(np.uint8))
        return scanner

    def _only(self, left: NDArray[np.int64]) -> Any:
        """Search parameters that look at these rows alone."""
        mask = np.zeros(self.rows, dtype=bool)
        mask[left] = True
        bits = np.packbits(mask, bitorder="little")
        return _faiss.SearchParameters(sel=_faiss.IDSelectorBitmap(bits))


def _is_settled(exact: NDArray[np.float64], estimates: NDArray[np.float32], wanted: int) -> bool:
    """Whether no row outside can be among the wanted: all have lower estimates than these.

    The rows looked at, a hundred or more, show what the error of an estimate is like.
    """
    errors = exact - estimates
    highest_outside = estimates.min() + errors.mean() + _SPREADS * errors.std()
    return bool(np.partition(exact, -wanted)[-wanted] > highest_outside)


def _ordered(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Nearest:
    found = zip(rows.tolist(), scores.tolist(), strict=True)
    return sorted(found, key=lambda item: (-item[1], item[0]))
