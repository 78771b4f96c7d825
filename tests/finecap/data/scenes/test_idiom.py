"""The lexicon covers the vocabulary."""

import pytest

from finecap.data.scenes.idiom import ADJECTIVES, BARE, NOUNS, PREPOSITIONS, SIDES
from finecap.data.scenes.vocabulary import COLOURS, OBJECTS, RELATIONS, SIZE_SYNONYMS, SIZES


def test_every_object_is_a_noun_in_both_numbers() -> None:
    assert all(not NOUNS[name].plural and NOUNS[plural].plural for name, plural in OBJECTS.items())


def test_sizes_rank_before_colours() -> None:
    sizes = {ADJECTIVES[word] for word in (*SIZES, *SIZE_SYNONYMS)}
    assert max(sizes) < min(ADJECTIVES[word] for word in COLOURS)


def test_every_relation_phrase_is_a_preposition() -> None:
    assert {phrase for phrases in RELATIONS.values() for phrase in phrases} <= set(PREPOSITIONS)


@pytest.mark.parametrize(
    ("preposition", "noun"),
    [("in", "beach"), ("on", "night"), ("on", "city"), ("on", "forest"), ("at", "cat")],
)
def test_unidiomatic_pairs_are_left_out(preposition: str, noun: str) -> None:
    assert preposition not in NOUNS[noun].prepositions


def test_bare_places_and_sides_are_known_words() -> None:
    assert set(BARE.values()) <= set(NOUNS)
    assert all(side.split()[-1] in {"left", "right"} for side in SIDES)
