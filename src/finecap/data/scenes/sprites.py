"""Objects as small pictures: a design, in a size and a colour, smoothed and outlined.

A sprite is drawn four times as large in whole materials and averaged down, all in integers. The
result is cached: a world has a few hundred different sprites and tens of thousands of images. Where
a sprite goes is not decided here.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from finecap.data.scenes.designs import DESIGNS, Material
from finecap.data.scenes.shapes import UNITS, Grid
from finecap.data.scenes.vocabulary import COLOURS

SUPERSAMPLING = 4
FULL = SUPERSAMPLING**2
"""Weight of a pixel that lies wholly inside the object."""

_MARGIN = 1  # pixel around the design, where the outline goes
_FIXED = {
    Material.WOOD: (138, 94, 58),
    Material.DARK: (44, 42, 50),
    Material.GLASS: (176, 216, 236),
    Material.CREAM: (252, 246, 226),
    Material.LEAF: (70, 140, 66),
    Material.METAL: (146, 150, 160),
    Material.ROOF: (104, 88, 92),
    Material.BEAK: (236, 168, 56),
    Material.PINK: (232, 142, 142),
    Material.SEED: (112, 72, 44),
    Material.PANE: (140, 190, 220),
}


@dataclass(frozen=True, slots=True)
class Sprite:
    """Summed colours (H, W, 3) and weights (H, W, 1) of the samples inside, out of `FULL`."""

    colour: NDArray[np.int16]
    weight: NDArray[np.int16]


def box(name: str, side: int) -> tuple[int, int]:
    """Width and height in pixels of an object whose longer side is `side` pixels."""
    design = DESIGNS[name]
    return design.width * side // UNITS, design.height * side // UNITS


@cache
def sprite(name: str, side: int, colour: str, mirrored: bool) -> Sprite:
    """The picture of a `colour` `name`, its longer side `side` pixels."""
    if mirrored:
        plain = sprite(name, side, colour, mirrored=False)
        return Sprite(plain.colour[:, ::-1], plain.weight[:, ::-1])
    materials = _materials(name, side)
    painted = _palette(colour)[materials]  # (4H, 4W) -> (4H, 4W, 3)
    painted = _lit(painted) * (materials > 0)[:, :, None]
    return Sprite(_pooled(painted), _pooled((materials > 0)[:, :, None].astype(np.int32)))


@cache
def _materials(name: str, side: int) -> NDArray[np.uint8]:
    """The design's materials on the supersampled grid, outline included, shape (4H, 4W)."""
    width, height = (SUPERSAMPLING * pixels for pixels in box(name, side))
    # A sample's centre in units is (2 i + 1 - 2 margin) * UNITS / (2 * inner): kept as a fraction.
    margin = SUPERSAMPLING * _MARGIN
    scale = 2 * (SUPERSAMPLING * side - 2 * margin)
    design = DESIGNS[name]
    x = (2 * np.arange(width, dtype=np.int64) + 1 - 2 * margin) * UNITS + design.left * scale
    y = (2 * np.arange(height, dtype=np.int64) + 1 - 2 * margin) * UNITS + design.top * scale
    grid = Grid(x[None, :], y[:, None], scale)
    materials = np.zeros((height, width), dtype=np.uint8)
    for material, shape in design.layers:
        materials[shape.mask(grid)] = material
    materials[_grown(materials > 0, 3) & (materials == 0)] = Material.OUTLINE
    return materials


def _grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The mask widened by `steps` samples, alternating diamond and square: nearly round."""
    for step in range(steps):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        rows = wider.copy() if step % 2 else mask
        wider[:, 1:] |= rows[:, :-1]
        wider[:, :-1] |= rows[:, 1:]
        mask = wider
    return mask


def _mix(colour: tuple[int, int, int], other: tuple[int, int, int], part: int) -> list[int]:
    """`colour` with `part` hundredths of `other` in it."""
    return [(a * (100 - part) + b * part) // 100 for a, b in zip(colour, other, strict=True)]


def _palette(colour: str) -> NDArray[np.int32]:
    """RGB of every material for an object of that colour, shape (materials, 3)."""
    body = COLOURS[colour]
    palette = np.zeros((len(Material), 3), dtype=np.int32)
    for material, rgb in _FIXED.items():
        palette[material] = rgb
    palette[Material.BODY] = body
    palette[Material.LIGHT] = _mix(body, (255, 255, 255), 14 if colour == "black" else 30)
    # Yellow in deep shade would pass for orange.
    depth = {"white": 12, "yellow": 16}.get(colour, 26)
    palette[Material.SHADE] = _mix(body, (30, 24, 60), depth)
    palette[Material.OUTLINE] = _mix(body, (16, 14, 34), 66)
    if colour == "white":  # must not vanish on snow
        palette[Material.OUTLINE] = (104, 110, 132)
    if colour == "black":  # a light rim, or it would vanish at night
        palette[Material.OUTLINE] = (150, 154, 172)
        palette[Material.SHADE] = (22, 22, 28)
    return palette


def _lit(painted: NDArray[np.int32]) -> NDArray[np.int32]:
    """Light from above and left: 108 % at that corner, 90 % at the opposite one."""
    height, width = painted.shape[:2]
    down = np.arange(height, dtype=np.int32)[:, None] * 10 // height
    across = np.arange(width, dtype=np.int32)[None, :] * 8 // width
    return np.minimum(painted * (108 - down - across)[:, :, None] // 100, 255)


def _pooled(samples: NDArray[np.int32]) -> NDArray[np.int16]:
    """Sums over squares of 4 x 4 samples: (4H, 4W, C) -> (H, W, C), at most 16 * 255."""
    height, width, channels = samples.shape
    squares = samples.reshape(
        height // SUPERSAMPLING, SUPERSAMPLING, width // SUPERSAMPLING, SUPERSAMPLING, channels
    )
    return squares.sum(axis=(1, 3)).astype(np.int16)
