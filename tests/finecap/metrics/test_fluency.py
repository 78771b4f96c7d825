"""Fluency guards on captions whose answer is plain to see."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics import fluency

CAPTIONS = [
    "a dog runs on the grass.",
    "a dog on a dog on",
    "a red red boat",
    "A boat on the",
    "",
]


def test_repeated_bigram_or_word_twice_running_is_repetition() -> None:
    assert fluency.repeats(CAPTIONS).tolist() == [0, 1, 1, 0, 0]
    assert fluency.repetition_rate(CAPTIONS) == pytest.approx(0.4)


def test_stutter_and_repeated_trigram_are_parts_of_repetition() -> None:
    assert fluency.stutters(CAPTIONS).tolist() == [0, 0, 1, 0, 0]
    captions = ["a red cat by a red cat", "a red cat and a red dog", "a a a a", "cat", ""]
    assert fluency.repeats_ngram(captions, 3).tolist() == [1, 0, 1, 0, 0]
    assert fluency.repeats_ngram(captions, 2).tolist() == [1, 1, 1, 0, 0]
    assert (fluency.repeats(captions) >= fluency.repeats_ngram(captions, 3)).all()


def test_bad_endings_are_of_four_disjoint_kinds() -> None:
    kinds = [fluency.ARTICLES, fluency.PREPOSITIONS, fluency.CONJUNCTIONS, fluency.AUXILIARIES]
    assert frozenset().union(*kinds) == fluency.BAD_ENDINGS
    assert sum(map(len, kinds)) == len(fluency.BAD_ENDINGS)


def test_article_preposition_conjunction_auxiliary_end_badly() -> None:
    assert fluency.ends_badly(CAPTIONS).tolist() == [0, 1, 0, 1, 1]
    assert fluency.ends_badly(["a dog and", "a dog is", "a dog is ."]).tolist() == [1, 1, 1]
    assert fluency.bad_ending_rate(CAPTIONS) == pytest.approx(0.6)


@pytest.mark.parametrize("caption", ["a man stands outside", "a boy looks up .", "a trash can"])
def test_adverbs_and_nouns_are_good_endings(caption: str) -> None:
    assert fluency.bad_ending_rate([caption]) == 0


def test_length_and_vocabulary_count_words_not_punctuation() -> None:
    assert fluency.lengths(CAPTIONS).tolist() == [6, 6, 4, 4, 0]
    assert fluency.mean_length(CAPTIONS) == 4
    assert fluency.vocabulary(["A dog.", "a cat , a dog"]) == 3


def test_repeated_ngrams_count_each_time_after_the_first() -> None:
    captions = ["a cat", "a cat and a cat", "cat", "", "a a a a"]
    assert fluency.repeated_ngram_shares(captions, 1).tolist() == pytest.approx(
        [0, 2 / 5, 0, 0, 3 / 4]
    )
    assert fluency.repeated_ngram_shares(captions, 2).tolist() == pytest.approx(
        [0, 1 / 4, 0, 0, 2 / 3]
    )


def test_stutter_is_the_share_of_neighbours_that_are_one_word() -> None:
    found = fluency.stutter_shares(["a cat and a cat", "A a cat.", "cat", "", "cat cat cat"])
    assert found.tolist() == [0, 0.5, 0, 0, 1]


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_rates_are_means_of_per_caption_values(captions: list[str]) -> None:
    assert fluency.repetition_rate(captions) == fluency.repeats(captions).mean()
    assert fluency.bad_ending_rate(captions) == fluency.ends_badly(captions).mean()
    assert fluency.mean_length(captions) == fluency.lengths(captions).mean()


def test_no_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="no captions"):
        fluency.repetition_rate([])


def test_distinct_n_falls_as_captions_say_the_same() -> None:
    assert fluency.distinct_n(["a red boat", "a red car"], 2) == pytest.approx(3 / 4)
    assert fluency.distinct_n(["a red boat"] * 4, 2) == pytest.approx(1 / 4)
    assert fluency.distinct_n(["", "boat"], 2) == 0.0
