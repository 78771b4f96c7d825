"""Backgrounds: one for each of the vocabulary, never the same twice, far from each other."""

import numpy as np
import pytest

from finecap.data.scenes.backgrounds import background
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.vocabulary import BACKGROUNDS


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_background_is_an_image(name: str) -> None:
    for key in range(20):
        pixels = background(name, Generator(name, key))
        assert pixels.shape == (96, 96, 3)
        assert pixels.dtype == np.int16
        assert pixels.min() >= 0
        assert pixels.max() <= 255


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_two_images_differ(name: str) -> None:
    assert (background(name, Generator(1)) != background(name, Generator(2))).any()


def test_same_stream_gives_the_same_pixels() -> None:
    assert (background("sea", Generator(4)) == background("sea", Generator(4))).all()


def test_mean_pixels_tell_backgrounds_apart() -> None:
    def prototype(name: str, first: int) -> np.ndarray:
        images = [background(name, Generator(first + k)) for k in range(8)]
        return np.mean(images, axis=0).reshape(12, 8, 12, 8, 3).mean(axis=(1, 3))

    known = {name: prototype(name, 0) for name in BACKGROUNDS}
    for name in BACKGROUNDS:
        distance = {other: np.abs(prototype(name, 100) - known[other]).mean() for other in known}
        assert min(distance, key=lambda other: distance[other]) == name
