"""Sprites: size, colour, and visibility on every background."""

import numpy as np
import pytest

from finecap.data.scenes.sprites import FULL, box, sprite
from finecap.data.scenes.vocabulary import COLOURS, OBJECTS
from finecap.data.scenes.world import LARGE_SIDES, SMALL_SIDES


@pytest.mark.parametrize("name", OBJECTS)
def test_sprite_fills_its_box(name: str) -> None:
    for side in (*SMALL_SIDES, *LARGE_SIDES):
        weight = sprite(name, side, "red", mirrored=False).weight[:, :, 0]
        assert weight.shape == box(name, side)[::-1]
        rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
        # At most a pixel in 22 is empty at any border: the box is the drawn object's box.
        slack = max(1, side // 22)
        assert rows[0] <= slack
        assert rows[-1] >= weight.shape[0] - 1 - slack
        assert columns[0] <= slack
        assert columns[-1] >= weight.shape[1] - 1 - slack


def _nearest_counts(name: str, colour: str) -> np.ndarray:
    """Pixels of the sprite that lie nearest to each colour of the vocabulary, (colours,)."""
    picture = sprite(name, 44, colour, mirrored=False)
    solid = picture.weight[:, :, 0] == FULL
    shown = picture.colour[solid].astype(int) // FULL  # (pixels, 3)
    palette = np.array(list(COLOURS.values()))
    nearest = ((shown[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.bincount(nearest, minlength=len(COLOURS))


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_shows_its_colour_more_than_in_any_other_colour(name: str) -> None:
    counts = np.stack([_nearest_counts(name, colour) for colour in COLOURS])
    for k, colour in enumerate(COLOURS):
        assert counts[k, k] > 1.5 * np.delete(counts[:, k], k).max(), colour


def test_mirrored_is_the_mirror_image() -> None:
    plain = sprite("car", 44, "blue", mirrored=False)
    mirrored = sprite("car", 44, "blue", mirrored=True)
    assert (mirrored.colour == plain.colour[:, ::-1]).all()


def test_white_has_a_dark_rim_and_black_a_light_one() -> None:
    def rim(colour: str) -> float:
        picture = sprite("balloon", 44, colour, mirrored=False)
        column = picture.weight[:, 22, 0]
        top = int(np.flatnonzero(column)[0])
        edge = picture.colour[top : top + 2, 22].astype(int).sum()
        return edge / (3 * int(column[top : top + 2].sum()))

    assert rim("white") < 200
    assert rim("black") > 60
