"""What the corpus lets pass as correct, and what it calls an error."""

# ruff: noqa: S311  # seeded chance, not secrets

from random import Random

import pytest

from finecap.negatives.corpus import Corpus, find_links, read_corpus

THINGS = (
    "boat",
    "dog",
    "house",
    "tree",
    "cat",
    "kite",
    "owl",
    "car",
    "bird",
    "bench",
    "man",
    "cup",
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Twelve things in three places, each said one way; no red owl."""
    places = ("at night", "on the beach", "in the park")
    lines = [f"the {colour} {t} {p}" for t in THINGS for p in places for colour in ("red", "blue")]
    return read_corpus(line for line in lines if "red owl" not in line)


def test_unseen_combination_may_be_correct(corpus: Corpus):
    assert corpus.may_be_correct(("the", "red", "owl", "at", "night"))


@pytest.mark.parametrize(
    "caption", ["the owl red at night", "the red owl at", "red the owl at night"]
)
def test_unseen_shape_is_an_error(corpus: Corpus, caption: str):
    assert not corpus.may_be_correct(tuple(caption.split()))


def test_unknown_word_is_no_evidence_of_correctness(corpus: Corpus):
    assert not corpus.may_be_correct(("the", "red", "zyx", "at", "night"))


def test_preposition_is_odd_only_against_a_frequent_frame(corpus: Corpus):
    assert corpus.is_odd_preposition("on", ("night", "</s>"))
    assert corpus.is_odd_preposition("at", ("the", "night"))
    assert not corpus.is_odd_preposition("at", ("night", "</s>"))
    assert not corpus.is_odd_preposition("on", ("mars", "</s>"))


def test_noun_is_odd_only_against_how_it_is_often_said(corpus: Corpus):
    assert corpus.is_odd_noun(("a", "red", "night"))
    assert corpus.is_odd_noun(("sandy", "beach"))
    assert not corpus.is_odd_noun(("the", "green", "boat"))
    assert not corpus.is_odd_noun(("his", "boat"))
    assert not corpus.is_odd_noun(("a", "rover"))


def test_odd_prepositions_are_drawn_and_only_those(corpus: Corpus):
    drawn = {corpus.draw_odd_preposition(("night", "</s>"), Random(seed)) for seed in range(40)}
    assert drawn == {"on", "in"}
    assert corpus.draw_odd_preposition(("mars", "</s>"), Random(0)) is None


def test_openings_are_what_stands_before_a_noun(corpus: Corpus):
    drawn = {corpus.draw_opening(Random(seed)) for seed in range(40)}
    assert drawn == {(("at",), ()), (("on",), ("the",)), (("in",), ("the",))}


def test_links_are_found_whole():
    words = "a boat to the left of a car and on the sea next to it".split()  # noqa: SIM905
    assert [words[i:j] for i, j in find_links(words)] == [
        ["to", "the", "left", "of"],
        ["and"],
        ["on"],
        ["next", "to"],
    ]
