"""The paired test against hand-counted sign patterns, and what it can never say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.evaluation.paired import PERMUTATIONS, paired_p_value

HITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


def test_p_value_is_one_for_equal_arms_and_counts_all_sign_flips():
    zeros = np.zeros(10)
    assert paired_p_value(zeros, zeros) == 1.0
    # Five gains, no loss: one of 2^5 sign patterns is as great.
    challenger = np.r_[np.ones(5), np.zeros(5)]
    assert paired_p_value(zeros, challenger) == pytest.approx(1 / 32, abs=0.006)


def test_p_value_is_about_uniform_when_nothing_differs():
    generator = np.random.default_rng(1)
    p = [paired_p_value(*(generator.random((2, 60)) < 0.4).astype(float)) for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) < 0.13


def test_p_value_refuses_arrays_that_are_no_pairs():
    with pytest.raises(ValueError, match="expected pairs"):
        paired_p_value(np.zeros(3), np.zeros(4))


def test_scores_that_are_no_numbers_are_refused_and_never_significant():
    with pytest.raises(ValueError, match="expected finite scores"):
        paired_p_value(np.zeros(3), np.array([1.0, np.nan, 1.0]))


@given(HITS)
def test_p_value_is_a_probability_that_chance_alone_can_reach(hits: list[tuple[bool, bool]]):
    champion, challenger = np.array(hits, dtype=np.float64).T
    assert 1 / (PERMUTATIONS + 1) <= paired_p_value(champion, challenger) <= 1


@given(HITS, st.integers(0, 29))
def test_p_value_never_rises_when_the_challenger_does_better_on_an_image(
    hits: list[tuple[bool, bool]], image: int
):
    champion, challenger = np.array(hits, dtype=np.float64).T
    better = challenger.copy()
    better[image % len(hits)] = 1.0
    assert paired_p_value(champion, better) <= paired_p_value(champion, challenger)
