"""Intervals: coverage, pairing, NaN, corpus statistics, refusals, speed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.evaluation.bootstrap import (
    corpus_interval,
    corpus_paired_difference,
    interval,
    median,
    paired_difference,
    weights,
)
from finecap.metrics.ngram import bleu_statistics

SETTINGS = {"resamples": 400, "confidence": 0.95, "seed": 3}


def values(n: int = 300, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_interval_is_about_two_standard_errors_each_way() -> None:
    found = interval(values(), resamples=4000, confidence=0.95, seed=0)
    error = values().std() / np.sqrt(300)
    assert found.value == pytest.approx(values().mean())
    assert found.ci_high - found.ci_low == pytest.approx(2 * 1.96 * error, rel=0.08)
    assert found.n == 300


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = [
        found.ci_low <= 0 <= found.ci_high
        for found in (interval(values(200, seed), **SETTINGS) for seed in range(200))
    ]
    assert 0.89 <= np.mean(covered) <= 0.99


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_interval_of_any_values_holds_within_their_range(numbers: list[float]) -> None:
    found = interval(np.array(numbers), resamples=50, confidence=0.9, seed=0)
    assert min(numbers) - 1e-6 <= found.ci_low <= found.ci_high <= max(numbers) + 1e-6


def test_same_seed_same_interval_and_another_seed_another() -> None:
    assert interval(values(), **SETTINGS) == interval(values(), **SETTINGS)
    assert interval(values(), **SETTINGS) != interval(values(), **{**SETTINGS, "seed": 4})


def test_undefined_images_count_nowhere() -> None:
    with_nan = np.concatenate([np.ones(5), np.full(20, np.nan)])
    found = interval(with_nan, **SETTINGS)
    assert (found.value, found.ci_low, found.ci_high, found.n) == (1, 1, 1, 5)


def test_paired_difference_sees_what_separate_intervals_cannot() -> None:
    a = values() * 10
    b = a - 0.5 + 0.1 * values(seed=1)
    found = paired_difference(a, b, **SETTINGS)
    assert 0.4 < found.ci_low < found.value < found.ci_high < 0.6
    assert found.p_value < 0.01
    assert interval(a, **SETTINGS).ci_low < interval(b, **SETTINGS).ci_high


def test_equal_systems_differ_by_nothing() -> None:
    found = paired_difference(values(), values(), **SETTINGS)
    assert (found.value, found.ci_low, found.ci_high, found.p_value) == (0, 0, 0, 1)


def test_difference_is_antisymmetric() -> None:
    one, other = values(), values(seed=1)
    forth, back = (
        paired_difference(one, other, **SETTINGS),
        paired_difference(other, one, **SETTINGS),
    )
    assert (forth.value, forth.ci_low) == pytest.approx((-back.value, -back.ci_high))
    assert forth.p_value == back.p_value


def test_pairs_with_one_undefined_side_are_left_out() -> None:
    a, b = np.array([1.0, np.nan, 5]), np.array([0.0, 7, np.nan])
    assert paired_difference(a, b, **SETTINGS).value == 1


def test_mean_as_corpus_statistic_has_the_means_interval() -> None:
    own = values()
    found = corpus_interval(lambda rows: rows @ own / rows.sum(axis=1), len(own), **SETTINGS)
    direct = interval(own, **SETTINGS)
    assert (found.value, found.ci_low) == pytest.approx((direct.value, direct.ci_low))


def test_corpus_bleu_has_an_interval_and_a_paired_difference() -> None:
    references = {i: [f"a red dog number{i} runs fast"] for i in range(30)}
    good = dict.fromkeys(range(30), "a red dog number1 runs fast")
    bad = dict.fromkeys(range(30), "a cat runs number1 fast dog")
    found = [bleu_statistics(references, own) for own in (good, bad)]
    one, other = (lambda rows, s=s: s.scores(rows)[:, 1] for s in found)
    bleu = corpus_interval(one, 30, **SETTINGS)
    assert bleu.ci_low <= bleu.value <= bleu.ci_high
    assert corpus_paired_difference(one, other, 30, **SETTINGS).ci_low > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 99))
def test_median_of_a_resample_is_that_of_the_images_drawn(values: list[int], seed: int) -> None:
    own, rows = np.array(values, dtype=np.float64), weights(len(values), 20, seed)
    expected = [np.median(np.repeat(own, row.astype(int))) for row in rows]
    assert median(own)(rows).tolist() == expected
    assert median(own)(np.ones((1, len(own)))).tolist() == [np.median(own)]


def test_median_has_an_interval_around_it() -> None:
    own = values(301)
    found = corpus_interval(median(own), 301, **SETTINGS)
    assert found.value == np.median(own)
    assert found.ci_low < found.value < found.ci_high


def test_every_resample_draws_n_images() -> None:
    assert (weights(17, 40, 0).sum(axis=1) == 17).all()
    assert not weights(17, 40, 0).flags.writeable


def test_twelve_metrics_of_five_thousand_images_take_seconds() -> None:
    own = np.random.default_rng(0).random((12, 5000))
    start = time.process_time()
    for metric in own:
        interval(metric, resamples=1000, confidence=0.95, seed=9)
    assert time.process_time() - start < 5


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no defined value among 2 images"):
        interval(np.array([np.nan, np.nan]), **SETTINGS)
    with pytest.raises(ValueError, match=r"shape \(N,\); came \(2, 2\)"):
        interval(np.ones((2, 2)), **SETTINGS)
    with pytest.raises(ValueError, match="infinite"):
        interval(np.array([1, np.inf]), **SETTINGS)
    with pytest.raises(ValueError, match=r"same images; came \(2,\) and \(3,\)"):
        paired_difference(np.ones(2), np.ones(3), **SETTINGS)
    with pytest.raises(ValueError, match="between 0 and 1; came 95"):
        interval(np.ones(3), resamples=10, confidence=95, seed=0)
    with pytest.raises(ValueError, match="resamples >= 1"):
        interval(np.ones(3), resamples=0, confidence=0.9, seed=0)
    with pytest.raises(ValueError, match=r"expected values of shape \(1,\)"):
        corpus_interval(lambda rows: rows, 3, **SETTINGS)
