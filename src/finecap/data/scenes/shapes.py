"""Filled shapes as integer masks, the only geometry the sprites use.

Coordinates are design units (a sprite's longer side is 240); a mask is drawn on a supersampled
grid. Every test is an exact integer inequality, so a mask has the same pixels on every machine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNITS = 240
"""A sprite's longer side in design units."""

Mask = NDArray[np.bool_]
Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """Centres of the supersampled pixels, in design units times `scale`."""

    x: NDArray[np.int64]  # (1, W)
    y: NDArray[np.int64]  # (H, 1)
    scale: int


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon by its corners, filled by the even-odd rule."""

    points: tuple[Point, ...]

    def mask(self, grid: Grid) -> Mask:
        """Pixels whose centre lies inside, shape (H, W)."""
        corners = [(x * grid.scale, y * grid.scale) for x, y in self.points]
        inside = np.zeros((grid.y.shape[0], grid.x.shape[1]), dtype=np.bool_)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            crosses = (grid.y < y0) != (grid.y < y1)
            side = (grid.x - x0) * (y1 - y0) - (grid.y - y0) * (x1 - x0)
            inside ^= crosses & ((side < 0) if y1 > y0 else (side > 0))
        return inside


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse by centre and radii; `clip` (left, top, right, bottom) keeps a part of it."""

    cx: int
    cy: int
    rx: int
    ry: int
    clip: tuple[int, int, int, int] | None = None

    def mask(self, grid: Grid) -> Mask:
        """Pixels whose centre lies inside, shape (H, W)."""
        across = (grid.x - self.cx * grid.scale) * self.ry
        down = (grid.y - self.cy * grid.scale) * self.rx
        inside = across**2 + down**2 <= (self.rx * self.ry * grid.scale) ** 2
        if self.clip is not None:
            inside &= rectangle(*self.clip).mask(grid)
        return inside


Shape = Polygon | Ellipse


def rectangle(left: int, top: int, right: int, bottom: int) -> Polygon:
    """The axis-aligned rectangle with those sides."""
    return Polygon(((left, top), (right, top), (right, bottom), (left, bottom)))


def circle(cx: int, cy: int, radius: int) -> Ellipse:
    """The circle with that centre and radius."""
    return Ellipse(cx, cy, radius, radius)
