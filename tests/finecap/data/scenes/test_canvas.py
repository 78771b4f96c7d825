"""Brushes: exact where it can be counted, close to the true curve elsewhere."""

import math

import numpy as np

from finecap.data.scenes.canvas import (
    FULL,
    SIDE,
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


def test_sine_is_close_to_the_true_one() -> None:
    degrees = np.arange(-360, 720, dtype=np.int32)
    true = np.array([1_000 * math.sin(math.radians(d)) for d in degrees])
    assert np.abs(sine(degrees) - true).max() <= 2.5


def test_gradient_meets_its_stops() -> None:
    pixels = gradient([(0, (0, 40, 80)), (95, (200, 40, 0))])
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.abs(pixels[0].mean(axis=0) - (1, 41, 81)).max() <= 2
    assert np.abs(pixels[95].mean(axis=0) - (201, 41, 1)).max() <= 2


def test_full_coverage_replaces_and_none_keeps() -> None:
    pixels = np.full((SIDE, SIDE, 3), 10, dtype=np.int16)
    coverage = np.zeros((SIDE, SIDE), dtype=np.int16)
    coverage[5, 7], coverage[6, 7] = FULL, FULL // 2
    blend(pixels, (110, 210, 10), coverage)
    assert pixels[5, 7].tolist() == [110, 210, 10]
    assert pixels[6, 7].tolist() == [60, 110, 10]
    assert (np.delete(pixels.reshape(-1, 3), [5 * SIDE + 7, 6 * SIDE + 7], axis=0) == 10).all()


def test_beneath_covers_half_of_a_halved_row() -> None:
    coverage = beneath(np.full(SIDE, 40 * 16 + 8, dtype=np.int32))
    assert [int(coverage[row, 0]) for row in (39, 40, 41)] == [0, 8, 16]


def test_disc_and_ellipse_have_their_areas() -> None:
    assert abs(int(disc(48, 48, 20).sum()) / FULL - math.pi * 400) < 15
    assert abs(int(ellipse(48, 48, 30, 20).sum()) / FULL - math.pi * 600) < 60


def test_rolling_line_stays_in_its_band() -> None:
    for key in range(20):
        line = rolling(Generator("line", key), 30, 12)
        assert line.min() >= 30 * 16 - 1
        assert line.max() <= 42 * 16 + 1


def test_noise_is_symmetric() -> None:
    values = noise(Generator("noise"), 9)
    assert (values.min(), values.max()) == (-9, 9)
    assert abs(values.mean()) < 0.3


def test_varied_stays_a_colour() -> None:
    assert all(0 <= c <= 255 for k in range(50) for c in varied(Generator(k), (0, 128, 255), 20))
