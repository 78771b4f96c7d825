"""Copies of one picture are found whatever was done to their file; other pictures are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from finecap.data.likeness import MAX_BITS, SIZE, groups, likeness, near_duplicates
from tests.finecap.data.importers.conftest import picture


def rows(*images):
    return np.stack([np.frombuffer(likeness(image), np.uint8) for image in images])


def jpeg(image, quality):
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: jpeg(image, 40),
        lambda image: image.resize((97, 61)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.02),
    ],
)
def test_retouched_copies_look_the_same(changed):
    image = picture(3, side=160)
    assert near_duplicates(rows(image, changed(image)), 6, 3.0).tolist() == [[0, 1]]


def test_other_pictures_and_other_colours_do_not():
    image = picture(3, side=160)
    swapped = Image.merge("RGB", image.split()[::-1])
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert len(near_duplicates(rows(image, swapped, mirrored, picture(4, side=160)), 6, 3.0)) == 0


@pytest.mark.parametrize("max_bits", [0, 3, MAX_BITS])
def test_every_pair_is_found_that_comparing_all_finds(max_bits):
    rng = np.random.default_rng(0)
    looks = np.zeros((150, SIZE), np.uint8)
    looks[:, :8] = rng.integers(0, 255, (10, 8), dtype=np.uint8)[rng.integers(0, 10, 150)]
    looks[:, :8] ^= np.packbits(rng.random((150, 64)) < 0.05, axis=1)
    bits = np.unpackbits(looks[:, :8], axis=1).astype(int)
    apart = (bits[:, None] != bits[None]).sum(2)
    expected = np.argwhere(np.triu(apart <= max_bits, 1))
    assert len(expected) > 1
    assert near_duplicates(looks, max_bits, 0.0).tolist() == expected.tolist()


def test_groups_join_what_pairs_connect():
    pairs = np.array([[1, 2], [2, 4], [0, 5]])
    assert groups(6, pairs).tolist() == [0, 1, 1, 3, 1, 0]


def test_blank_images_by_the_thousand_take_no_time_and_are_one_group():
    looks = np.zeros((3000, SIZE), np.uint8)
    pairs = near_duplicates(looks, 6, 3.0)
    assert len(pairs) < 64 * 3000
    assert set(groups(3000, pairs).tolist()) == {0}


def test_bounds_are_checked_and_nothing_is_no_error():
    assert near_duplicates(np.empty((0, SIZE), np.uint8), 6, 3.0).shape == (0, 2)
    with pytest.raises(ValueError, match="max_bits is 8, expected 0 to 7"):
        near_duplicates(np.zeros((1, SIZE), np.uint8), 8, 6.0)
