"""Splits follow what images show, are the same every time, and keep near-duplicates together."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from finecap.config import ImportConfig
from finecap.data.importers import DatasetImportError
from finecap.data.importers.assign import assign
from finecap.data.likeness import SIZE, likeness
from tests.finecap.data.importers.conftest import picture


def md5(number):
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def strangers(n):
    """Likenesses of n pictures that nobody would confuse."""
    return np.random.default_rng(0).integers(0, 255, (n, SIZE), dtype=np.uint8)


def drawn(n=200, own=None, looks=None, **settings):
    looks = strangers(n) if looks is None else looks
    return assign(own or [None] * n, [md5(i) for i in range(n)], looks, ImportConfig(**settings))


def test_shares_are_near_those_asked_for_and_said():
    splits = drawn(1000)
    counts = Counter(splits.of)
    assert abs(counts["test"] - 100) < 30
    assert abs(counts["val"] - 100) < 30
    assert f"train {counts['train']}, val {counts['val']}, test {counts['test']}" in splits.said


def test_images_added_later_move_no_other():
    assert drawn(1000).of[:200] == drawn(200, looks=strangers(1000)[:200]).of


def test_seed_decides():
    assert drawn().of == drawn().of
    assert drawn().of != drawn(seed=1).of


@pytest.mark.parametrize("n", [3, 4, 7])
def test_few_images_fill_every_split(n):
    assert set(drawn(n).of) == {"train", "val", "test"}


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_images_are_no_error(n):
    assert len(drawn(n).of) == n


def test_pictures_that_look_the_same_stay_on_one_side():
    looks = strangers(60)
    for first in range(0, 60, 3):
        looks[first + 1] = looks[first + 2] = looks[first]
        looks[first + 1, 8:] ^= 1
    of = drawn(60, looks=looks).of
    assert all(len(set(of[first : first + 3])) == 1 for first in range(0, 60, 3))


def test_recompressed_and_resized_photos_look_the_same_and_others_do_not():
    small = picture(1, side=200).resize((90, 90))
    looks = [picture(1, side=200), small, picture(2, side=200)]
    rows = np.stack([np.frombuffer(likeness(look), np.uint8) for look in looks])
    own = ["train", "test", "val"]
    splits = assign(own, [md5(i) for i in range(3)], rows, ImportConfig())
    assert splits.of == own
    assert splits.apart == [(0, 1)]


def test_new_draws_over_the_sources_own():
    splits = drawn(100, own=["test"] * 100, splits="new")
    assert Counter(splits.of)["train"] > 60
    assert "(as asked)" in splits.said


def test_fill_halves_what_is_held_out_or_takes_from_train():
    splits = drawn(own=["train"] * 100 + ["val"] * 100, splits="fill")
    counts = Counter(splits.of)
    assert counts["train"] == 100
    assert 30 < counts["test"] < 70
    counts = Counter(drawn(own=["train"] * 200, splits="fill").of)
    assert counts["test"] > 5
    assert counts["val"] > 5
    assert drawn(3, own=["train", "val", "test"], splits="fill").said == "splits are the source's"


def test_fill_draws_nothing_from_a_source_without_train():
    with pytest.raises(DatasetImportError, match="no train split to draw others from"):
        drawn(own=["val"] * 200, splits="fill")
    assert "it has no train and no test" in drawn(own=["val"] * 200).said
