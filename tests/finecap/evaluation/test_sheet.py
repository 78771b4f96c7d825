"""The sheet's own arithmetic, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.config import EvaluationConfig
from finecap.evaluation.results import is_measured
from finecap.evaluation.sheet import ScoreSheet
from finecap.metrics import finegrained


def sheet(n: int) -> ScoreSheet:
    return ScoreSheet(n, EvaluationConfig(resamples=200))


def test_vocabulary_counts_distinct_words_and_its_interval_holds_the_count():
    found = sheet(3)
    found.count("vocabulary", [["a", "boat"], ["a", "red", "boat"], ["a", "house"]])
    metric = found.metrics["vocabulary"]
    assert metric["value"] == 4.0
    # Words of one image alone: 0, 1, 1; jackknife variance 2/3 * (4/9 + 1/9 + 1/9) = 4/9.
    assert metric["ci_high"] - 4.0 == pytest.approx(1.96 * 2 / 3, abs=1e-3)
    assert metric["ci_low"] == pytest.approx(8.0 - metric["ci_high"])


def test_ratio_rests_on_images_with_a_count_and_a_resample_without_any_is_left_out():
    counts = {"x_recall": np.array([1, 0])}
    scored = finegrained.FineGrained(("a", "b"), counts, counts)
    found = sheet(2)
    found.share("x_recall", scored, "x_recall")
    assert found.metrics["x_recall"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "n": 1}


def test_distinct_bigrams_by_hand_and_interval_by_leaving_each_caption_out():
    found = sheet(3)
    found.distinct("distinct_2", [["a", "b"], ["a", "b", "c"], ["d"]], 2)
    metric = found.metrics["distinct_2"]
    assert metric["value"] == pytest.approx(2 / 3)  # (a b), (b c) of three
    # Without each: 2/2, 1/1, 2/3; mean 8/9, squared deviations 1/81 + 1/81 + 4/81.
    assert metric["ci_low"] == pytest.approx(2 / 3 - 1.96 * (2 / 3 * 6 / 81) ** 0.5, abs=1e-3)
    assert metric["ci_high"] <= 1


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), min_size=1, max_size=6))
def test_distinct_share_is_bounded_and_within_its_interval(words: list[list[str]]):
    found = sheet(len(words))
    for n in (1, 2):
        found.distinct("distinct", words, n)
        metric = found.metrics["distinct"]
        if is_measured(metric):
            assert 0 <= metric["ci_low"] <= metric["value"] <= metric["ci_high"] <= 1
        else:
            assert all(len(own) < n for own in words)


def test_distinct_of_captions_too_short_says_why():
    found = sheet(2)
    found.distinct("distinct_2", [["a"], []], 2)
    assert found.metrics["distinct_2"] == {
        "value": None,
        "reason": "not defined on this data: no caption has 2 words",
    }
