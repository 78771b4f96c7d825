import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.search.attributes import attributes_of, canonical_value, singular
from finecap.search.query import ATTRIBUTES


def said(caption):
    return {name: values for name, values in attributes_of(caption).items() if values}


def test_every_field_is_read_from_one_caption():
    assert said("A big red boat to the left of a small blue house at night.") == {
        "colour": ("blue", "red"),
        "background": ("night",),
        "object": ("boat", "house"),
        "size": ("large", "small"),
        "relation": ("left",),
    }


def test_the_longest_entry_wins():
    assert said("a house under a dark blue roof in front of a field")["colour"] == ("blue",)
    assert "front" in said("a cat in front of a house")["relation"]


def test_a_word_inside_another_is_not_a_value():
    assert said("a woman reddens beside seafood").get("colour") is None
    assert said("a redwood seat").get("background") is None


@pytest.mark.parametrize(
    ("caption", "objects"),
    [
        ("boats docked in front of mountains", ("boat",)),
        ("a young man riding a brown horse, and two dogs", ("dog", "horse", "man")),
        ("the dining table is wooden", ("table",)),
        ("a boat floats on the sea", ("boat",)),
        ("there are three kites in the sky", ("kite",)),
        ("a bench on the left", ("bench",)),
        ("", ()),
        ("🚤 !!", ()),
    ],
)
def test_objects_are_the_heads_of_noun_phrases(caption, objects):
    assert attributes_of(caption)["object"] == objects


@pytest.mark.parametrize(
    ("plural", "word"),
    [
        ("boats", "boat"),
        ("benches", "bench"),
        ("houses", "house"),
        ("horses", "horse"),
        ("glasses", "glass"),
        ("buses", "bus"),
        ("babies", "baby"),
        ("boxes", "box"),
        ("ties", "tie"),
        ("grass", "grass"),
        ("children", "child"),
        ("bus", "bus"),
    ],
)
def test_singular(plural, word):
    assert singular(plural) == word


@pytest.mark.parametrize(
    ("field", "typed", "stored"),
    [
        ("size", "big", "large"),
        ("relation", "left of", "left"),
        ("relation", "left", "left"),
        ("background", "ocean", "sea"),
        ("object", "boats", "boat"),
        ("colour", "mauve-ish", "mauve-ish"),
        ("split", "test", "test"),
    ],
)
def test_a_typed_value_becomes_the_stored_one(field, typed, stored):
    assert canonical_value()(field, typed) == stored


@given(st.text(max_size=80))
def test_any_caption_has_every_field_sorted_and_once(caption):
    found = attributes_of(caption)
    assert tuple(found) == ATTRIBUTES
    assert all(list(values) == sorted(set(values)) for values in found.values())
