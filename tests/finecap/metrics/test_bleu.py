"""BLEU statistics by hand."""

import pytest

from finecap.metrics.bleu import statistics


def test_matches_are_clipped_at_the_references_count() -> None:
    found = statistics([[["the", "cat"]]], [["the", "the", "the"]])
    assert found.matches.tolist() == [[1, 0, 0, 0]]
    assert found.guesses.tolist() == [[3, 2, 1, 0]]


def test_reference_length_is_the_closest_and_the_shorter_at_a_tie() -> None:
    references = [[["a", "b", "c", "d", "e"], ["a", "b", "c"]]]
    assert statistics(references, [["a", "b", "c", "d"]]).reference_lengths.tolist() == [3]


def test_perfect_captions_score_one() -> None:
    caption = ["a", "red", "dog", "runs", "fast"]
    assert statistics([[caption]], [caption]).scores() == pytest.approx([1, 1, 1, 1])


def test_brevity_is_penalised() -> None:
    found = statistics([[["a", "b", "c", "d"]]], [["a", "b"]])
    assert found.scores()[0] == pytest.approx(2.718281828 ** (1 - 4 / 2))


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="came 0 candidates and 1 sets of references"):
        statistics([[["a"]]], [])
