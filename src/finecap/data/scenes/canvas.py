"""The image under the brush: blending, gradients, rolling lines and discs, all on integers.

A coverage is an integer array (96, 96) in [0, 16]: how many sixteenths of a pixel a shape fills.
Positions with the suffix `_16` are in sixteenths of a pixel. What a beach looks like is for
`backgrounds.py`.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finecap.data.scenes.generator import Generator
from finecap.data.scenes.world import SIDE

Pixels = NDArray[np.int16]
Coverage = NDArray[np.int16]
Colour = tuple[int, int, int]

X: Pixels = np.arange(SIDE, dtype=np.int16)[None, :]
Y: Pixels = np.arange(SIDE, dtype=np.int16)[:, None]
FULL = 16


def sine(degrees: NDArray[np.int32]) -> NDArray[np.int32]:
    """1,000 times the sine, within 2, by Bhaskara's rational approximation (7th century)."""
    half = degrees % 180
    product = half * (180 - half)
    value = 4000 * product // (40_500 - product)
    return np.where(degrees % 360 < 180, value, -value)  # noqa: PLR2004


def vertical(stops: Sequence[tuple[int, Colour]]) -> Pixels:
    """A vertical gradient through (row, colour) stops, times 4 for the dither, (96, 1, 3)."""
    rows = np.zeros((SIDE, 3), dtype=np.int32)
    rows[:] = np.array(stops[0][1]) * 4
    for (top, upper), (bottom, lower) in pairwise(stops):
        span = max(bottom - top, 1)
        part = np.clip(np.arange(SIDE) - top, 0, span)[:, None]
        blended = (np.array(upper) * 4 * (span - part) + np.array(lower) * 4 * part) // span
        rows[max(top, 0) :] = blended[max(top, 0) :]
    return rows.astype(np.int16)[:, None, :]


def gradient(stops: Sequence[tuple[int, Colour]]) -> Pixels:
    """A whole image of the gradient, dithered so that few colours look like many, (96, 96, 3)."""
    return (vertical(stops) + _DITHER) >> 2


_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=np.int16)
# In quarters of a colour step of 4: the quantiser keeps six bits a channel.
_DITHER: Pixels = np.tile(_BAYER, (SIDE // 4, SIDE // 4))[:, :, None]


def blend(pixels: Pixels, paint: Colour | Pixels, coverage: Coverage) -> None:
    """Lay `paint`, a colour or an image, over `pixels` in place."""
    rows = np.flatnonzero(coverage.any(axis=1))
    if not len(rows):
        return
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    # Rows as (96 * 3,): numpy is ten times slower on a broadcast last axis of three.
    flat = pixels.reshape(SIDE, 3 * SIDE)[part]
    if isinstance(paint, tuple):
        over = np.tile(np.array(paint, dtype=np.int16), SIDE)
    else:
        over = paint.reshape(SIDE, 3 * SIDE)[part]
    flat += ((over - flat) * coverage[part].repeat(3, axis=1)) >> 4


def beneath(line_16: NDArray[np.int32]) -> Coverage:
    """Coverage of what lies below a line given by its height at every column, (96,)."""
    return np.clip(Y * 16 + 16 - line_16[None, :], 0, FULL).astype(np.int16)


def disc(cx: int, cy: int, radius: int) -> Coverage:
    """Coverage of a disc; centre and radius in pixels."""
    square = (X.astype(np.int32) - cx) ** 2 + (Y.astype(np.int32) - cy) ** 2
    # (r^2 - d^2) / 2r is the signed distance to the rim, exact there.
    return np.clip(8 * (radius * radius - square) // radius + 8, 0, FULL).astype(np.int16)


def ellipse(cx: int, cy: int, rx: int, ry: int) -> Coverage:
    """Coverage of an ellipse, edges softened by about a pixel."""
    across = ((X.astype(np.int32) - cx) * 64 // rx) ** 2
    down = ((Y.astype(np.int32) - cy) * 64 // ry) ** 2
    return np.clip((4096 - across - down) * min(rx, ry) // 512 + 8, 0, FULL).astype(np.int16)


def rolling(
    generator: Generator, top: int, height: int, waves: Sequence[int] = (1, 2, 3)
) -> NDArray[np.int32]:
    """A rolling line, 1/16 pixel, (96,): `waves` are half periods over the width."""
    total = np.zeros(SIDE, dtype=np.int32)
    weights = 0
    for index, wave in enumerate(waves):
        weight = len(waves) - index
        degrees = np.arange(SIDE, dtype=np.int32) * 180 * wave // SIDE + generator.below(360)
        total += weight * sine(degrees)
        weights += weight
    return top * 16 + height * 16 * (total + 1000 * weights) // (2000 * weights)


def noise(generator: Generator, amplitude: int) -> Pixels:
    """Independent integers in [-amplitude, amplitude], (96, 96, 1)."""
    values = generator.bytes_of(SIDE * SIDE).reshape(SIDE, SIDE, 1)
    return (values * (2 * amplitude + 1) >> 8) - amplitude


def varied(generator: Generator, colour: Colour, by: int) -> Colour:
    """The colour, each channel moved by up to `by`: no two scenes share a sky."""
    red, green, blue = (
        min(max(channel + generator.between(-by, by), 0), 255) for channel in colour
    )
    return red, green, blue
