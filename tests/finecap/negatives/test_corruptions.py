"""Each kind of corruption does what its name says."""

# ruff: noqa: S311  # seeded chance, not secrets

from collections.abc import Callable
from random import Random

import pytest

from finecap.negatives.corpus import Corpus, chunked, read_corpus
from finecap.negatives.corruptions import KINDS
from finecap.negatives.lexicons import single_words

CAPTION = ["a", "red", "boat", "on", "the", "sea", "next", "to", "an", "orange", "umbrella"]
# A dozen, so that what one of them never takes is no chance.
MANY_NOUNS = [
    "boat",
    "dog",
    "house",
    "tree",
    "owl",
    "cat",
    "kite",
    "cow",
    "car",
    "bird",
    "fish",
    "fox",
]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Captions of one shape; "at night" never takes "on" or "the"."""
    scenes = ("boat", "dog", "house", "tree", "owl", "cat", "kite")
    lines = [f"{'an' if s == 'owl' else 'a'} {s} {p}" for s in scenes for p in PLACES]
    return read_corpus(lines + [f"two {s}s {p}" for s in scenes for p in PLACES])


PLACES = ("at night", "on the beach", "in a park", "near an orange umbrella")


@pytest.fixture
def draws(corpus: Corpus) -> Callable[[str, list[str]], list[list[str]]]:
    """Two hundred results of a kind on words."""

    def draw(kind: str, words: list[str]) -> list[list[str]]:
        results = [KINDS[kind](list(words), corpus, Random(seed)) for seed in range(200)]
        return [result for result in results if result and result != words]

    return draw


def test_repeat_adds_one_to_three_words_of_its_own(draws):
    results = draws("repeat", CAPTION)
    assert {len(result) - len(CAPTION) for result in results} == {1, 2, 3}
    assert all(set(result) == set(CAPTION) for result in results)


def test_remove_takes_one_to_three_words_and_also_the_last(draws):
    results = draws("remove", CAPTION)
    assert {len(CAPTION) - len(result) for result in results} == {1, 2, 3}
    assert any(result[-1] != "umbrella" for result in results)


def test_remove_leaves_a_word(draws):
    assert {tuple(result) for result in draws("remove", ["a", "boat"])} == {("a",), ("boat",)}
    assert not draws("remove", ["boat"])


def test_insert_puts_corpus_words_anywhere_even_at_the_end(draws, corpus: Corpus):
    results = draws("insert", CAPTION)
    assert {len(result) - len(CAPTION) for result in results} == {1, 2, 3}
    assert {w for r in results for w in r} - set(CAPTION) <= set(corpus.vocabulary)
    assert any(result[: len(CAPTION)] == CAPTION for result in results)
    assert any(result[-len(CAPTION) :] == CAPTION for result in results)


@pytest.mark.parametrize("kind", ["swap", "shuffle", "order"])
def test_reordering_keeps_the_words(draws, kind: str):
    results = draws(kind, CAPTION)
    assert results
    assert all(sorted(result) == sorted(CAPTION) for result in results)


@pytest.mark.parametrize("kind", ["swap", "shuffle"])
def test_reordering_touches_at_most_three_words(draws, kind: str):
    for result in draws(kind, CAPTION):
        assert sum(a != b for a, b in zip(result, CAPTION, strict=True)) in {2, 3}


def test_cut_off_ends_in_a_function_word(draws):
    ends = single_words("articles", "prepositions", "conjunctions")
    results = draws("cut_off", CAPTION)
    assert all(result[-1] in ends for result in results)
    assert ["a", "red", "boat", "on"] in results
    assert any(len(result) > len(CAPTION) for result in results)
    assert all(len(result) >= 2 for result in draws("cut_off", ["boat"]))


def test_article_flips_drops_and_doubles(draws):
    results = {" ".join(result) for result in draws("article", ["an", "owl", "at", "night"])}
    assert {"a owl at night", "owl at night", "an an owl at night"} <= results


def test_article_is_not_flipped_to_what_the_corpus_says(corpus: Corpus):
    assert corpus.is_wrong_article("a", "owl")
    assert not corpus.is_wrong_article("an", "owl")


def test_preposition_gives_on_night_and_at_the_night(draws):
    results = {" ".join(result) for result in draws("preposition", ["a", "boat", "at", "night"])}
    assert {"a boat on night", "a boat on the night", "a boat at the night"} <= results


def test_preposition_that_others_use_in_the_frame_is_no_error(draws):
    results = {" ".join(r) for r in draws("preposition", ["a", "boat", "on", "the", "beach"])}
    assert "a boat on the beach" not in results
    assert "a boat at the beach" in results


def test_frame_puts_a_noun_behind_the_preposition_of_another():
    lines = [f"a {n} {place}" for n in MANY_NOUNS for place in ("at night", "in the city")]
    corpus = read_corpus(lines)
    draws = (KINDS["frame"](["a", "boat", "at", "night"], corpus, Random(s)) for s in range(50))
    assert {" ".join(words) for words in draws if words} == {"a boat in the night"}


def test_frame_takes_longer_prepositions_and_articles_with_it():
    places = ("at night", "in front of a red hill")
    lines = [f"a {n} {place}" for n in MANY_NOUNS for place in places]
    corpus = read_corpus(lines)
    draws = (KINDS["frame"](["a", "boat", "at", "night"], corpus, Random(s)) for s in range(50))
    assert {" ".join(words) for words in draws if words} == {"a boat in front of a red night"}


def test_determiner_puts_an_article_that_the_corpus_never_does(draws):
    results = {
        " ".join(result) for result in draws("determiner", ["a", "boat", "on", "the", "beach"])
    }
    assert results == {"a boat on a beach", "a boat on an beach"}


def test_determiner_leaves_alone_what_is_said_both_ways():
    lines = [
        f"{a} {s} on {b} beach"
        for s in ("cat", "dog", "bird")
        for a in ("a", "the")
        for b in ("a", "the")
    ]
    corpus = read_corpus(lines * 4)
    words = ["a", "cat", "on", "a", "beach"]
    assert all(
        KINDS["determiner"](words, corpus, Random(s)) != ["a", "cat", "on", "the", "beach"]
        for s in range(50)
    )


def test_echo_says_a_noun_phrase_or_its_modifier_again(draws):
    results = {
        " ".join(r)
        for r in draws("echo", ["a", "red", "cat", "and", "a", "blue", "boat", "at", "night"])
    }
    assert results == {"a red cat and a red cat at night", "a red cat and a red boat at night"}


def test_echo_spares_nouns_that_captions_say_twice():
    corpus = read_corpus(["a man and another man", "a man on a horse"])
    words = ["a", "man", "and", "a", "dog"]
    assert all(KINDS["echo"](list(words), corpus, Random(seed)) is None for seed in range(20))


def test_repeated_phrase_says_a_whole_phrase_again(draws):
    results = {" ".join(result) for result in draws("repeated_phrase", CAPTION)}
    assert "a red boat on the sea on the sea next to an orange umbrella" in results
    assert "a red boat on the sea next to an orange umbrella on the sea" in results


def test_order_turns_a_phrase_round(draws):
    results = {" ".join(result) for result in draws("order", ["a", "red", "boat"])}
    assert {"boat red a", "red boat a", "a boat red"} == results


def test_word_list_has_no_function_words(draws):
    function = single_words("articles", "prepositions", "conjunctions")
    results = draws("word_list", CAPTION)
    assert ["red", "boat", "sea", "next", "orange", "umbrella"] in results
    assert not any(set(result) & function for result in results)


def test_missing_link_leaves_two_phrases_side_by_side(draws):
    results = {" ".join(result) for result in draws("missing_link", CAPTION)}
    assert "a red boat on the sea an orange umbrella" in results
    assert "a red boat the sea next to an orange umbrella" in results


def test_run_on_adds_a_phrase_of_the_corpus(draws):
    results = draws("run_on", ["a", "boat"])
    assert ["a", "boat", "a", "dog"] in results
    assert ["a", "dog", "a", "boat"] in results


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_caption_of_one_word_is_no_crash(draws, kind: str):
    assert all(len(result) >= 1 for result in draws(kind, ["boat"]))


def test_chunks_begin_at_prepositions_and_after_commas():
    assert chunked(["a", "boat,", "red", "on", "the", "sea"]) == [
        ("a", "boat,"),
        ("red",),
        ("on", "the", "sea"),
    ]
