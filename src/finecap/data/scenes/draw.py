"""A scene as an indexed-colour image: background, then objects from the farthest to the salient.

Channels keep six bits, and at most 256 colours are kept: the most frequent ones; any other pixel
takes the nearest of them. Everything is integer arithmetic, so every machine gets the same pixels.
"""

import numpy as np
from numpy.typing import NDArray

from finecap.data.scenes.backgrounds import background
from finecap.data.scenes.canvas import Pixels
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.sprites import FULL, sprite
from finecap.data.scenes.world import Scene

MAX_COLOURS = 256


def draw_scene(scene: Scene, generator: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Palette indices (96, 96) and palette (N, 3), N <= 256; `generator` feeds the texture."""
    pixels = background(scene.background, generator)
    for placed in reversed(scene.objects):
        picture = sprite(placed.name, placed.side, placed.colour, placed.mirrored)
        rows = slice(placed.top, placed.top + placed.height)
        columns = slice(placed.left, placed.left + placed.width)
        under = pixels[rows, columns] * (FULL - picture.weight)
        pixels[rows, columns] = (under + picture.colour) >> 4
    return indexed(pixels)


def indexed(pixels: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The image (H, W, 3) in at most 256 colours: indices (H, W) and palette (N, 3)."""
    six = (pixels >> 2).astype(np.int32)
    codes = (six[:, :, 0] << 12) | (six[:, :, 1] << 6) | six[:, :, 2]
    ordered = np.sort(codes, axis=None)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    colours = ordered[starts]
    row_of = np.empty(1 << 18, dtype=np.uint8)
    if len(colours) <= MAX_COLOURS:
        kept = colours
        row_of[kept] = np.arange(len(kept))
    else:
        # Stable: equally frequent colours keep their order.
        counts = np.diff(starts, append=ordered.size)
        order = np.argsort(-counts, kind="stable")
        kept, rare = colours[order[:MAX_COLOURS]], colours[order[MAX_COLOURS:]]
        row_of[kept] = np.arange(MAX_COLOURS)
        row_of[rare] = _nearest(_channels(rare), _channels(kept))
    palette = _channels(kept)
    return row_of[codes], ((palette << 2) | (palette >> 4)).astype(np.uint8).T


def _channels(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    """Six-bit red, green and blue of packed colours, (N,) -> (3, N)."""
    return np.stack([codes >> 12, (codes >> 6) & 63, codes & 63]).astype(np.int16)


def _nearest(colours: NDArray[np.int16], among: NDArray[np.int16]) -> NDArray[np.int64]:
    """Row of the nearest of `among` (3, M) for each of `colours` (3, N), the first on a tie."""
    # 3 * 63^2 fits 16 bits.
    distance = np.zeros((colours.shape[1], among.shape[1]), dtype=np.int16)
    for own, other in zip(colours, among, strict=True):
        apart = own[:, None] - other[None, :]  # (N, 1) - (1, M) -> (N, M)
        distance += apart * apart
    return distance.argmin(axis=1)
