"""An interpolated Witten-Bell model: values by hand, probabilities that add up to one."""

import math

import pytest

from finecap.metrics.language_model import NgramModel

CORPUS = ["a cat", "a dog", "a cat sleeps"]
# Unigrams: a 3, cat 2, dog 1, sleeps 1, end 3: 10 tokens of 5 types, so p(unseen) = 1 / 6 below.
WORDS = ("a", "cat", "dog", "sleeps", "</s>")


def unigram(count: int) -> float:
    return (count + 5 / 6) / (10 + 5)


def test_unigrams_by_hand() -> None:
    model = NgramModel(CORPUS, 1)
    assert model.probability("a", []) == pytest.approx(unigram(3))
    assert model.probability("bird", []) == pytest.approx(unigram(0))


def test_bigrams_by_hand() -> None:
    """After "a": cat 2, dog 1: 3 tokens of 2 types. After "cat": sleeps 1, end 1."""
    model = NgramModel(CORPUS, 2)
    assert model.probability("cat", ["a"]) == pytest.approx((2 + 2 * unigram(2)) / 5)
    assert model.probability("sleeps", ["cat"]) == pytest.approx((1 + 2 * unigram(1)) / 4)
    assert model.probability("a", ["<s>"]) == pytest.approx((3 + 1 * unigram(3)) / 4)


def test_trigrams_lean_on_bigrams_by_hand() -> None:
    """After "<s> a": cat 2, dog 1 too."""
    below = (2 + 2 * unigram(2)) / 5
    assert NgramModel(CORPUS, 3).probability("cat", ["<s>", "a"]) == pytest.approx(
        (2 + 2 * below) / 5
    )


def test_a_sentence_is_the_mean_over_its_words_and_its_end() -> None:
    model = NgramModel(CORPUS, 2)
    steps = [("a", "<s>"), ("dog", "a"), ("</s>", "dog")]
    expected = sum(math.log(model.probability(word, [before])) for word, before in steps) / 3
    assert model.mean_log_prob("A dog.") == pytest.approx(expected)


@pytest.mark.parametrize("context", [[], ["a"], ["<s>", "a"], ["never", "seen"], ["dog", "cat"]])
def test_probabilities_of_all_words_and_the_unknown_add_up_to_one(context: list[str]) -> None:
    model = NgramModel(CORPUS, 3)
    total = sum(model.probability(word, context) for word in (*WORDS, "bird"))
    assert total == pytest.approx(1)


def test_a_context_never_seen_says_what_a_shorter_one_does() -> None:
    model = NgramModel(CORPUS, 3)
    expected = model.probability("cat", ["a"])
    assert model.probability("cat", ["bird", "a"]) == expected


def test_words_in_disorder_are_less_likely() -> None:
    model = NgramModel(CORPUS, 3)
    assert model.mean_log_prob("a cat sleeps") > model.mean_log_prob("sleeps a cat") + 0.5


@pytest.mark.parametrize("sentences", [[], ["..."]])
def test_a_corpus_without_a_word_is_refused(sentences: list[str]) -> None:
    with pytest.raises(ValueError, match="needs a sentence of at least one word; came none"):
        NgramModel(sentences, 2)


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="order 1 or more; came 0"):
        NgramModel(CORPUS, 0)
