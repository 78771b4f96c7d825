"""Masks against areas that can be counted by hand."""

import numpy as np

from finecap.data.scenes.shapes import Ellipse, Grid, Polygon, circle, rectangle


def _grid(size: int) -> Grid:
    """Pixel centres at 0.5, 1.5, ... units."""
    centres = 2 * np.arange(size, dtype=np.int64) + 1
    return Grid(x=centres[None, :], y=centres[:, None], scale=2)


def test_rectangle_fills_its_pixels() -> None:
    mask = rectangle(1, 2, 4, 6).mask(_grid(8))
    assert mask.sum() == 12
    assert mask[2:6, 1:4].all()


def test_triangle_fills_half_its_square() -> None:
    mask = Polygon(((0, 0), (40, 0), (0, 40))).mask(_grid(40))
    assert abs(int(mask.sum()) - 800) <= 20


def test_circle_has_its_area() -> None:
    assert abs(int(circle(32, 32, 30).mask(_grid(64)).sum()) - 2827) <= 15


def test_clip_keeps_a_part() -> None:
    mask = Ellipse(32, 32, 20, 10, clip=(0, 0, 64, 32)).mask(_grid(64))
    assert mask[:32].any()
    assert not mask[32:].any()
