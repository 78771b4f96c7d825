"""Which words name an attribute, and which go when it does."""

import pytest

from finecap.negatives.lexicons import load_lexicon
from finecap.negatives.mentions import find_mentions, head_noun


def removals(caption: str, attribute: str) -> list[str | None]:
    """The words that each mention would take out."""
    words = caption.split()
    found = find_mentions(words, attribute, load_lexicon(attribute), load_lexicon("background"))
    return [None if m.removal is None else " ".join(words[slice(*m.removal)]) for m in found]


@pytest.mark.parametrize(
    ("attribute", "caption", "removed"),
    [
        ("colour", "a red boat and a dark blue car", ["red", "dark blue"]),
        ("colour", "a black and white dog", ["black and white", "black and white"]),
        ("colour", "a red-and-white boat", ["red-and-white"]),
        ("colour", "a red-haired girl", []),
        ("colour", "a red-brick house", ["red-brick"]),
        ("material", "a red-brick house", ["red-brick"]),
        ("colour", "a brick-red wall", ["brick-red"]),
        ("material", "a brick-red wall", []),
        ("colour", "a tan-coloured dog", ["tan-coloured"]),
        ("material", "a copper-colored pot", []),
        ("count", "a three-colored cat", []),
        ("colour", "an orange and a banana", []),
        ("colour", "the boat is red", ["is red"]),
        ("colour", "a man in red on a boat", ["in red"]),
        ("colour", "a man wearing blue", [None]),
        ("colour", "a redder boat", []),
        ("background", "a boat on a sandy beach", ["on a sandy beach"]),
        ("background", "a kite under the night sky", ["under the night sky"]),
        ("background", "a boat in front of the sea", ["in front of the sea"]),
        ("background", "houses near snowy mountains", ["near snowy mountains"]),
        ("background", "boats by two beaches", ["by two beaches"]),
        ("background", "a beach house", []),
        ("background", "a field covered in snow", ["covered in snow"]),
        ("background", "a beach with a boat", [None]),
        ("background", "a glass of water", [None]),
        ("background", "dogs in a field of flowers", []),
        ("size", "a small dog and a very large house", ["small", "large"]),
        ("size", "the house is small", ["is small"]),
        ("size", "a large-sized dog", ["large-sized"]),
        ("count", "two dogs and a group of men", ["two", "a group of"]),
        ("count", "two of them", []),
        ("material", "a wooden house", ["wooden"]),
        ("material", "a bench made of stone", ["made of stone"]),
        ("material", "a bird on a rock", []),
        ("relation", "a boat to the left of a house", ["to the left of"]),
        ("relation", "a cat is sitting next to a car", ["is sitting next to"]),
        ("relation", "a cat sits beside a car", ["sits beside"]),
        ("relation", "a bus above a house", ["above"]),
        ("relation", "a building behind a tree", ["behind"]),
        ("relation", "a boat under the night sky", []),
        ("relation", "two dogs behind each other", []),
        ("relation", "the cat is over there", []),
        ("relation", "above a house", []),
    ],
)
def test_mentions(attribute: str, caption: str, removed: list[str | None]):
    assert removals(caption, attribute) == removed


def test_head_noun_is_the_last_naming_word():
    assert head_noun(["red", "sail", "boat", "on", "the", "sea"], 1) == "boat"
