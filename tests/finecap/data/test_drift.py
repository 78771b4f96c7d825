"""The index is 0 for the same data, grows as data moves, and agrees with a sum by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from finecap.data.drift import Distribution, distributions, moved, psi, write


def table(n=400, words=8, side=200.0, text="a boat on the sea", seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "split": rng.choice(["train", "val", "test"], n),
            "caption_count": np.full(n, 5.0),
            "longest_words": rng.poisson(words, n).astype(float),
            "shortest_words": rng.poisson(words - 3, n).astype(float),
            "short_side": rng.normal(side, 20, n),
            "aspect": np.nan,
            "spread": rng.normal(60, 10, n),
            "text": [text] * n,
        }
    )


@pytest.fixture
def accepted(tmp_path):
    write(tmp_path / "features.json", distributions(table()))
    return tmp_path / "features.json"


def test_index_is_the_sum_of_its_definition():
    now, before = Distribution({"a": 0.5, "b": 0.5}), Distribution({"a": 0.25, "b": 0.75})
    expected = 0.25 * math.log(2) - 0.25 * math.log(0.5 / 0.75)
    assert psi(now, before) == pytest.approx(expected)
    assert psi(before, before) == 0


def test_the_same_data_has_not_moved(accepted):
    found = moved(table(), accepted)
    assert set(found.values()) == {0.0}
    assert "aspect" not in found


def test_another_sample_of_the_same_has_hardly_moved(accepted):
    assert max(moved(table(n=4000, seed=1), accepted).values()) < 0.1


@pytest.mark.parametrize(
    ("changed", "feature"),
    [
        ({"words": 14}, "longest_words"),
        ({"side": 300.0}, "short_side"),
        ({"text": "ein Boot auf dem Meer"}, "vocabulary"),
    ],
)
def test_what_moved_is_told_by_feature(accepted, changed, feature):
    found = moved(table(**changed), accepted)
    assert found[feature] > 0.2
    assert found["split"] < 0.05


def test_nothing_is_no_error(accepted):
    assert moved(table(n=0), accepted) == {}
