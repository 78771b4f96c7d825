"""The nine backgrounds, each drawn anew for every image from its own stream of random numbers.

One function per background of the vocabulary; no two images get the same sky, hills or windows.
Brushes are in `canvas.py`; objects come later.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from finecap.data.scenes.canvas import (
    FULL,
    Pixels,
    X,
    Y,
    beneath,
    blend,
    disc,
    ellipse,
    gradient,
    noise,
    rolling,
    sine,
    varied,
)
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.world import SIDE


def background(name: str, generator: Generator) -> Pixels:
    """The empty scene, (96, 96, 3), channels in [0, 255]."""
    return np.clip(_DRAWERS[name](generator), 0, 255)


def _clouds(pixels: Pixels, generator: Generator, lowest: int) -> None:
    """Two or three puffs of white above row `lowest`."""
    for _ in range(generator.between(1, 3)):
        cx, cy = generator.below(SIDE), generator.between(5, max(lowest - 6, 6))
        wide = generator.between(8, 14)
        puff = ellipse(cx, cy, wide, 3)
        puff = np.maximum(puff, ellipse(cx - wide // 3, cy - 2, wide // 3, 3))
        puff = np.maximum(puff, ellipse(cx + wide // 4, cy - 3, wide // 2, 3))
        blend(pixels, (252, 252, 255), puff * 3 // 4)


def _sea(generator: Generator) -> Pixels:
    horizon = generator.between(26, 40)
    pixels = gradient(
        [
            (0, varied(generator, (104, 170, 228), 10)),
            (horizon - 1, (206, 232, 246)),
            (horizon, varied(generator, (44, 134, 178), 8)),
            (SIDE, varied(generator, (12, 66, 122), 8)),
        ]
    )
    _clouds(pixels, generator, horizon)
    _waves(pixels, generator, horizon)
    return pixels


def _waves(pixels: Pixels, generator: Generator, horizon: int) -> None:
    """Rows of crests, wider apart towards the viewer, and a darker line below each."""
    row, gap = horizon + 3, 3
    across = np.arange(SIDE, dtype=np.int32)
    while row < SIDE:
        period = 12 + 3 * gap + generator.below(8)
        degrees = across * 360 // period + generator.below(360)
        line = row * 16 + sine(degrees) * gap // 240
        crest = beneath(line) - beneath(line + 14)
        broken = (sine(degrees * 2 // 3 + generator.below(360)) > -300)[None, :]  # noqa: PLR2004
        blend(pixels, (184, 224, 238), (crest * broken) * 9 // 16)
        blend(pixels, (8, 50, 100), (beneath(line + 14) - beneath(line + 26)) * 4 // 16)
        row, gap = row + gap + 2, gap + 1


def _beach(generator: Generator) -> Pixels:
    horizon = generator.between(18, 28)
    pixels = gradient(
        [
            (0, varied(generator, (120, 192, 240), 10)),
            (horizon - 1, (220, 240, 248)),
            (horizon, (48, 152, 190)),
            (horizon + 20, (92, 204, 208)),
        ]
    )
    _clouds(pixels, generator, horizon)
    shore = rolling(generator, horizon + 10, 9, (1, 3))
    sand = gradient(
        [
            (horizon + 8, varied(generator, (232, 206, 152), 8)),
            (SIDE, varied(generator, (246, 222, 168), 8)),
        ]
    )
    grain = noise(generator, 9)
    blend(pixels, (188, 160, 112), beneath(shore))
    blend(pixels, sand + grain, beneath(shore + 40))
    blend(pixels, (250, 252, 252), (beneath(shore - 16) - beneath(shore + 12)) * 15 // 16)
    for _ in range(generator.between(4, 8)):  # shells
        shell = disc(generator.below(SIDE), generator.between(horizon + 26, SIDE - 2), 1)
        blend(pixels, generator.choice(((250, 244, 236), (222, 172, 150))), shell)
    return pixels


def _meadow(generator: Generator) -> Pixels:
    horizon = generator.between(28, 40)
    pixels = gradient([(0, varied(generator, (108, 178, 236), 10)), (horizon + 6, (224, 242, 248))])
    _clouds(pixels, generator, horizon)
    blend(pixels, (138, 190, 158), beneath(rolling(generator, horizon - 9, 9, (2, 3))))
    blend(pixels, (108, 176, 92), beneath(rolling(generator, horizon - 3, 7)))
    grass = gradient(
        [
            (horizon, varied(generator, (146, 204, 88), 8)),
            (SIDE, varied(generator, (84, 156, 56), 8)),
        ]
    )
    blades = noise(generator, 14)
    blades = (blades + np.roll(blades, 1, axis=0) + np.roll(blades, 2, axis=0)) >> 1
    blend(pixels, grass + blades, beneath(rolling(generator, horizon + 3, 5, (1, 2))))
    _dots(pixels, generator, horizon + 10, ((250, 250, 244), (252, 226, 110), (244, 170, 190)))
    return pixels


def _dots(
    pixels: Pixels, generator: Generator, top: int, colours: tuple[tuple[int, int, int], ...]
) -> None:
    """A sprinkle of single bright pixels (distant blossoms) below row `top`."""
    for _ in range(generator.between(14, 26)):
        pixels[generator.between(top, SIDE - 1), generator.below(SIDE)] = generator.choice(colours)


def _snow(generator: Generator) -> Pixels:
    horizon = generator.between(32, 44)
    pixels = gradient([(0, varied(generator, (150, 172, 204), 10)), (horizon + 4, (222, 230, 242))])
    blend(pixels, (176, 192, 216), beneath(rolling(generator, horizon - 18, 16, (2, 5))))
    blend(pixels, (200, 212, 230), beneath(rolling(generator, horizon - 8, 10, (2, 3))))
    for _ in range(generator.between(3, 6)):  # frosted firs far away
        _fir(pixels, generator.below(SIDE), horizon + 4, generator.between(8, 13), (122, 146, 160))
    ground = gradient(
        [(horizon, (236, 242, 250)), (SIDE, varied(generator, (212, 224, 242), 8))]
    ) + noise(generator, 3)
    blend(pixels, ground, beneath(rolling(generator, horizon, 6, (1, 2))))
    drift = rolling(generator, horizon + 26, 12, (1, 2))
    blend(pixels, (250, 252, 255), (beneath(drift) - beneath(drift + 20)))
    blend(pixels, (196, 210, 234), (beneath(drift + 20) - beneath(drift + 60)) // 2)
    _flakes(pixels, generator)
    return pixels


def _flakes(pixels: Pixels, generator: Generator) -> None:
    """Falling snow: soft single pixels all over."""
    for _ in range(generator.between(40, 60)):
        y, x = generator.below(SIDE), generator.below(SIDE)
        pixels[y, x] = (pixels[y, x] + 3 * 255) >> 2


def _night(generator: Generator) -> Pixels:
    pixels = gradient(
        [
            (0, varied(generator, (10, 14, 44), 5)),
            (60, varied(generator, (30, 42, 92), 6)),
            (SIDE, (58, 66, 116)),
        ]
    )
    for _ in range(generator.between(45, 65)):
        bright = generator.between(120, 255)
        y, x = generator.below(78), generator.below(SIDE)
        pixels[y, x] = (bright, bright, min(bright + 20, 255))
    for _ in range(generator.between(3, 6)):  # brighter stars with a small cross
        y, x = generator.between(2, 60), generator.between(1, SIDE - 2)
        pixels[y - 1 : y + 2, x] = (150, 156, 190)
        pixels[y, x - 1 : x + 2] = (150, 156, 190)
        pixels[y, x] = (255, 255, 246)
    _moon(pixels, generator)
    blend(pixels, (20, 26, 56), beneath(rolling(generator, 76, 10, (2, 3))))
    blend(pixels, (12, 16, 38), beneath(rolling(generator, 85, 7, (1, 3))))
    return pixels


def _moon(pixels: Pixels, generator: Generator) -> None:
    """A full or crescent moon with its halo."""
    cx, cy, radius = generator.between(12, 84), generator.between(10, 24), generator.between(6, 9)
    blend(pixels, (150, 160, 200), disc(cx, cy, radius + 5) * 3 // 16)
    shape = disc(cx, cy, radius)
    if generator.chance(50):
        shape = np.maximum(shape - disc(cx + radius // 2, cy - 2, radius - 1), 0)
    blend(pixels, (250, 244, 212), shape)
    blend(pixels, (226, 218, 184), np.minimum(disc(cx - radius // 2, cy + 2, 2), shape))


def _sunset(generator: Generator) -> Pixels:
    horizon = generator.between(54, 66)
    pixels = gradient(
        [
            (0, varied(generator, (84, 56, 128), 10)),
            (horizon // 2, varied(generator, (214, 92, 108), 10)),
            (horizon - 8, (250, 158, 84)),
            (horizon - 1, (255, 212, 122)),
            (horizon, (226, 124, 92)),
            (SIDE, varied(generator, (70, 40, 92), 8)),
        ]
    )
    cx, radius = generator.between(20, 76), generator.between(10, 14)
    sky = (horizon > Y).astype(np.int16)
    blend(pixels, (255, 206, 120), disc(cx, horizon - 4, radius + 7) * sky * 6 // 16)
    blend(pixels, (255, 240, 178), disc(cx, horizon - 4, radius) * sky)
    for _ in range(generator.between(2, 4)):  # streaks of cloud lit from below
        at = (generator.below(SIDE), generator.between(8, horizon - 14))
        streak = ellipse(*at, generator.between(14, 26), 2)
        blend(pixels, (255, 174, 138), streak * 10 // 16)
    for row in range(horizon + 1, SIDE, 3):  # the sun's path on the water
        half = radius - (row - horizon) // 6 + generator.between(-3, 3)
        left = max(cx - max(half, 2) + generator.between(-2, 2), 0)
        pixels[row, left : max(cx + max(half, 2), 1)] = (255, 206, 130)
    return pixels


def _city(generator: Generator) -> Pixels:
    street = generator.between(72, 80)
    pixels = gradient(
        [
            (0, varied(generator, (132, 168, 210), 10)),
            (street, varied(generator, (242, 218, 194), 8)),
        ]
    )
    _skyline(pixels, generator, street, (26, 46), (142, 156, 184), lit=False)
    _skyline(pixels, generator, street, (36, 62), (84, 92, 122), lit=True)
    blend(pixels, (182, 180, 180), (street <= Y) * np.full((SIDE, SIDE), FULL, dtype=np.int16))
    pixels[street + 3 :] = (86, 88, 98)
    pixels[street + 3 :] += noise(generator, 4)[street + 3 :]
    middle = (street + 3 + SIDE) // 2
    for left in range(generator.below(12), SIDE, 14):
        pixels[middle : middle + 1, left : left + 7] = (232, 226, 196)
    return pixels


def _skyline(
    pixels: Pixels,
    generator: Generator,
    street: int,
    tops: tuple[int, int],
    wall: tuple[int, int, int],
    *,
    lit: bool,
) -> None:
    """A row of buildings down to `street`; the near row has windows, some of them lit."""
    left = -generator.below(6)
    while left < SIDE:
        width = generator.between(9, 17)
        top = generator.between(*tops)
        west, east = max(left, 0), min(left + width, SIDE)
        shade = generator.between(-14, 14)
        pixels[top:street, west:east] = tuple(channel + shade for channel in wall)
        pixels[top:street, max(east - 2, 0) : east] -= 12
        pixels[top : top + 1, west:east] += 18
        if generator.chance(30):
            mast = min(max(left + width // 2, 0), SIDE - 1)
            pixels[top - 5 : top, mast] = wall
        if lit:
            _windows(
                pixels, generator, (left + 2, top + 3, min(left + width - 2, SIDE), street - 2)
            )
        left += width


def _windows(pixels: Pixels, generator: Generator, wall: tuple[int, int, int, int]) -> None:
    """A grid of windows on a wall (left, top, right, bottom)."""
    left, top, right, bottom = wall
    for x in range(max(left, 0), right - 1, 3):
        pattern = generator.bits()
        for floor, y in enumerate(range(top, bottom - 1, 4)):
            glow = (pattern >> (2 * floor)) & 3
            pixels[y : y + 2, x : x + 2] = (
                (250, 220, 130),
                (250, 220, 130),
                (58, 64, 92),
                (124, 140, 170),
            )[glow]


def _desert(generator: Generator) -> Pixels:
    horizon = generator.between(34, 44)
    pixels = gradient([(0, varied(generator, (116, 180, 222), 10)), (horizon, (250, 232, 196))])
    at = (generator.between(12, 84), generator.between(9, 18))
    blend(pixels, (255, 244, 190), disc(*at, 12) * 6 // 16)
    blend(pixels, (255, 248, 214), disc(*at, 7))
    for step in range(3):
        ridge = rolling(generator, horizon - 6 + 16 * step, 16 - 2 * step, (1, 2 + step))
        tone = 12 * step
        sand = gradient(
            [
                (
                    horizon + 12 * step,
                    varied(generator, (236 - tone // 2, 176 - tone // 2, 100), 6),
                ),
                (SIDE, (214 - tone // 2, 146 - tone, 78 - tone // 2)),
            ]
        )
        blend(pixels, sand + noise(generator, 4), beneath(ridge))
        blend(pixels, (252, 208, 140), (beneath(ridge) - beneath(ridge + 20)))
        _ripples(pixels, generator, ridge)
    if generator.chance(60):
        _cactus(pixels, generator.between(6, 88), generator.between(horizon + 16, 84))
    return pixels


def _ripples(pixels: Pixels, generator: Generator, ridge: NDArray[np.int32]) -> None:
    """Two faint lines that follow a dune's ridge."""
    for _ in range(2):
        line = ridge + 16 * generator.between(5, 16)
        blend(pixels, (196, 132, 70), (beneath(line) - beneath(line + 14)) * 5 // 16)


def _cactus(pixels: Pixels, x: int, foot: int) -> None:
    """A far-off cactus."""
    green = (98, 126, 84)
    pixels[foot - 9 : foot, x : x + 2] = green
    pixels[foot - 7 : foot - 4, max(x - 2, 0) : x - 1] = green
    pixels[foot - 5 : foot - 4, max(x - 2, 0) : x] = green
    pixels[foot - 8 : foot - 5, x + 3 : x + 4] = green
    pixels[foot - 6 : foot - 5, x + 2 : x + 4] = green


def _forest(generator: Generator) -> Pixels:
    floor = generator.between(62, 70)
    pixels = gradient([(0, varied(generator, (176, 206, 206), 8)), (floor, (222, 232, 206))])
    for depth, tone in enumerate(((124, 158, 140), (66, 112, 86), (30, 76, 54))):
        spacing = 9 + 3 * depth
        for x in range(generator.below(spacing) - 4, SIDE + 6, spacing):
            height = generator.between(30, 42) + 8 * depth
            foot = floor + 2 * depth - 2 + generator.below(4)
            _fir(pixels, x + generator.between(-2, 2), foot, height, varied(generator, tone, 7))
    ground = gradient([(floor, varied(generator, (88, 108, 62), 8)), (SIDE, (58, 76, 42))]) + noise(
        generator, 12
    )
    blend(pixels, ground, beneath(rolling(generator, floor - 3, 4, (1, 3))))
    return pixels


def _fir(pixels: Pixels, x: int, foot: int, height: int, colour: tuple[int, int, int]) -> None:
    """A fir: four tiers, each widening downwards, around column `x` and down to row `foot`."""
    top, half = max(foot - height, 0), height // 4 + 1
    left, right = max(x - half - 1, 0), min(x + half + 2, SIDE)
    if left >= right or top >= foot:
        return
    rows = np.arange(top, foot, dtype=np.int32)[:, None] - (foot - height)
    tier = max(height // 4, 1)
    # Width grows down the tree, and within each tier from two thirds to the full width, in 1/16.
    width = 16 * half * (rows + 2 + 2 * (rows % tier)) // (height + 2 * tier)
    coverage = np.clip(width + 8 - 16 * abs(X[:, left:right].astype(np.int32) - x), 0, FULL)
    part = pixels[top:foot, left:right]
    lit = np.array(colour, dtype=np.int16) + np.where(X[:, left:right] < x, 12, 0)[:, :, None]
    part += ((lit.astype(np.int16) - part) * coverage.astype(np.int16)[:, :, None]) >> 4


_DRAWERS: dict[str, Callable[[Generator], Pixels]] = {
    "sea": _sea,
    "beach": _beach,
    "meadow": _meadow,
    "snow": _snow,
    "night": _night,
    "sunset": _sunset,
    "city": _city,
    "desert": _desert,
    "forest": _forest,
}
