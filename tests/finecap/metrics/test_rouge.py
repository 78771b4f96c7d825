"""ROUGE-L: the bit-parallel subsequence against the textbook table, and values by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.rouge import common_subsequence_length, rouge_l

TOKENS = st.lists(st.sampled_from("abcd"), max_size=12)


def by_table(first: list[str], second: list[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            both = table[i][j] + 1 if one == other else 0
            table[i + 1][j + 1] = max(both, table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@settings(deadline=None)
@given(TOKENS, TOKENS)
def test_subsequence_length_is_the_tables(first: list[str], second: list[str]) -> None:
    assert common_subsequence_length(first, second) == by_table(first, second)


def test_best_precision_and_recall_may_come_from_different_references() -> None:
    references = [[["a", "b", "c", "d", "e", "f"], ["a"]]]
    value = rouge_l(references, [["a", "b"]])[0]
    assert value == pytest.approx((1 + 1.44) * 1 * 1 / (1 + 1.44))


def test_nothing_in_common_is_zero_and_equal_is_one() -> None:
    assert rouge_l([[["x"]], [["y"]]], [["z"], ["y"]]).tolist() == [0, 1]
