"""Which images look the same: re-encoded, resized or lightly retouched copies of one picture.

A picture's likeness is 64 bits of its coarse structure (the signs of low cosine frequencies, as
Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010) and its colours
at 8 x 8. Two pictures are near-duplicates where few bits differ *and* the colours agree: bits alone
confuse pictures of much plain ground, colours alone every dusk over the sea. What is not here:
what follows from it (`assign` keeps them in one split, `expectations` sets them aside).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE, _LOW, _COLOURS = 32, 8, 8
SIZE = 8 + 3 * _COLOURS * _COLOURS
"""Bytes of a likeness: the bits, then the colours row by row."""
MAX_BITS = 7
"""Up to here the search finds every pair: of four 16-bit parts one differs by a bit or none."""
_NEIGHBOURS = 64  # of images with the very same bits, those compared with each

_frequencies = np.arange(1, _LOW + 1)[:, None] * (2 * np.arange(_SIDE) + 1)[None, :]
_COSINES: npt.NDArray[np.float32] = np.cos(np.pi * _frequencies / (2 * _SIDE)).astype(np.float32)


def likeness(image: Image.Image) -> bytes:
    """The likeness of an RGB image: `SIZE` bytes."""
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.asarray(grey, dtype=np.float32)
    low = _COSINES @ pixels @ _COSINES.T  # (32, 32) -> (8, 8)
    bits = np.packbits(low > np.median(low)).tobytes()
    colours = image.resize((_COLOURS, _COLOURS), Image.Resampling.BOX)
    return bits + colours.tobytes()


def near_duplicates(
    likenesses: npt.NDArray[np.uint8], max_bits: int, max_difference: float
) -> npt.NDArray[np.int64]:
    """Pairs of rows that look the same, the smaller row first, sorted: (pairs, 2).

    Of images whose bits are all equal (blank ones) each is compared with 64 of like brightness.

    Args:
        likenesses: (N, `SIZE`).
        max_bits: that may differ, up to `MAX_BITS`.
        max_difference: of the colours, on average, in levels of 255.
    """
    if len(likenesses) == 0:
        return np.empty((0, 2), np.int64)
    if not 0 <= max_bits <= MAX_BITS:
        raise ValueError(f"max_bits is {max_bits}, expected 0 to {MAX_BITS}")
    order = np.lexsort([likenesses[:, 8:].mean(1), _as_number(likenesses)])
    found = [
        _alike(likenesses, pairs, max_difference)
        for pairs in _candidates(likenesses, order, max_bits)
    ]
    pairs = np.sort(np.concatenate(found) if found else np.empty((0, 2), np.int64), axis=1)
    return np.unique(pairs, axis=0)


def groups(n: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each of `n` rows the first row that pairs connect it with, itself where none do."""
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in pairs.tolist():
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    return np.array([root(row) for row in range(n)], dtype=np.int64)


def _as_number(likenesses: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The 64 bits of each row as one number."""
    return np.ascontiguousarray(likenesses[:, :8]).view(np.uint64)[:, 0]


def _candidates(
    likenesses: npt.NDArray[np.uint8], order: npt.NDArray[np.int64], max_bits: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of rows whose bits agree well enough, in blocks."""
    numbers = _as_number(likenesses)[order]
    for step in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
        same = np.flatnonzero(numbers[step:] == numbers[:-step])
        if same.size == 0:
            break
        yield np.stack([order[same], order[same + step]], axis=1)
    if max_bits:
        starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
        ends = np.r_[starts[1:], len(numbers)]
        for one, other in _close(likenesses[order[starts], :8], max_bits):
            yield from _crossed(order, starts, ends, one, other)


def _crossed(
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    one: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of rows of each two groups of equal bits; of large groups the first rows stand in."""
    single = (ends[one] - starts[one] == 1) & (ends[other] - starts[other] == 1)
    yield np.stack([order[starts[one[single]]], order[starts[other[single]]]], axis=1)
    for a, b in zip(one[~single].tolist(), other[~single].tolist(), strict=True):
        first = order[starts[a] : min(ends[a], starts[a] + _NEIGHBOURS)]
        second = order[starts[b] : min(ends[b], starts[b] + _NEIGHBOURS)]
        yield np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)


def _close(
    bits: npt.NDArray[np.uint8], max_bits: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of distinct rows (n, 8) at most `max_bits` apart, in blocks."""
    import faiss

    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = 0 if max_bits <= 3 else 1  # noqa: PLR2004 - four parts share the bits
    index.add(np.ascontiguousarray(bits))
    block = 1 << 16
    for start in range(0, len(bits), block):
        # The radius is exclusive.
        limits, _, found = index.range_search(bits[start : start + block], max_bits + 1)
        counts = np.diff(limits.astype(np.int64))
        mine = np.repeat(np.arange(start, start + len(counts)), counts)
        keep = found > mine
        yield mine[keep], found[keep]


def _alike(
    likenesses: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64], max_difference: float
) -> npt.NDArray[np.int64]:
    """Those of `pairs` whose colours agree."""
    kept = []
    for block in np.array_split(pairs, max(1, len(pairs) // 100_000)):
        colours = likenesses[block, 8:].astype(np.int16)
        difference = np.abs(colours[:, 0] - colours[:, 1]).mean(1)
        kept.append(block[difference <= max_difference])
    return np.concatenate(kept)
