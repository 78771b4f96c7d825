"""Attribute negatives: what is removed, what is swapped, and that they read well."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from finecap.config import AttributeNegativesConfig
from finecap.data.records import Record
from finecap.negatives.attributes import build_table
from finecap.negatives.lexicons import ATTRIBUTES, LexiconError, Value, load_lexicon
from finecap.negatives.mentions import find_mentions
from finecap.negatives.words import key

ALL = AttributeNegativesConfig(attributes=list(ATTRIBUTES))


def table_of(*captions: str, attribute: str) -> pd.DataFrame:
    """The table of one attribute for images with one caption each."""
    records = [Record(f"images/{i}.png", "train", (c,)) for i, c in enumerate(captions)]
    return build_table(records, AttributeNegativesConfig(attributes=[attribute]))


def negatives(caption: str, attribute: str, kind: str, *, among: tuple[str, ...] = ()) -> set[str]:
    """The negatives of a caption in a corpus that also holds `among`."""
    table = table_of(caption, *among, attribute=attribute)
    return set(table[(table["caption"] == caption) & (table["kind"] == kind)]["negative"])


@pytest.mark.parametrize(
    ("attribute", "caption", "expected"),
    [
        ("colour", "an orange boat", "a boat"),
        ("colour", "A black and white dog .", "A dog ."),
        ("colour", "a red umbrella", "an umbrella"),
        ("colour", "a dog, red, on a boat", None),
        ("background", "a boat on the sea near a house", "a boat near a house"),
        ("background", "a boat is on the sea", "a boat"),
        ("background", "At night , a boat", "A boat"),
        ("background", "a kite under the night sky", "a kite"),
        ("size", "a large owl", "an owl"),
        ("count", "Two dogs run", "Dogs run"),
        ("count", "a group of men", "men"),
        ("material", "an iron bench", "a bench"),
        ("relation", "a boat to the left of a small house", "a boat and a small house"),
        ("relation", "a boat is above a house on the sea", "a boat and a house on the sea"),
        ("relation", "a boat on the sea and above a house", "a boat on the sea and a house"),
    ],
)
def test_removal(attribute: str, caption: str, expected: str | None):
    assert negatives(caption, attribute, "remove") == ({expected} if expected else set())


@pytest.mark.parametrize(
    ("attribute", "caption", "expected"),
    [
        ("relation", "a boat to the left of a house", "a boat to the right of a house"),
        ("relation", "a boat above a house", "a boat below a house"),
        ("relation", "a boat in front of a house", "a boat behind a house"),
        ("size", "a large owl", "a small owl"),
        ("colour", "a red owl", "an orange owl"),
        ("count", "two owls", "three owls"),
        ("material", "a wooden bench", "an iron bench"),
        ("background", "an owl on the beach", "an owl at night"),
    ],
)
def test_swap_takes_what_the_corpus_says(attribute: str, caption: str, expected: str):
    assert negatives(caption, attribute, "swap", among=(expected,)) == {expected}


def test_several_mentions_are_removed_together_and_one_at_a_time():
    removed = negatives("a red boat and a blue car", "colour", "remove")
    assert "a boat and a car" in removed
    assert removed & {"a red boat and a car", "a boat and a blue car"}


def test_colours_are_exchanged_between_two_objects():
    assert "an orange boat and a red car" in negatives(
        "a red boat and an orange car", "colour", "swap"
    )


def test_nothing_is_exchanged_between_objects_of_one_name():
    swapped = negatives("a red boat and a blue boat", "colour", "swap")
    assert "a blue boat and a red boat" not in swapped


def test_plural_background_is_swapped_for_words_of_the_corpus():
    swapped = negatives("beaches with boats", "background", "swap", among=("cities with boats",))
    assert swapped == {"cities with boats"}


def said(text: str, attribute: str) -> list[Value]:
    """The values of the attribute that a text names."""
    lexicons = load_lexicon(attribute), load_lexicon("background")
    return [mention.value for mention in find_mentions(key(text), attribute, *lexicons)]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_is_kept_by_the_positive_lacked_by_one_negative_and_changed_in_another(
    attribute: str,
):
    shapes = {"background": "a boat in the {} near a dog", "relation": "a boat {} a house"}
    for value in load_lexicon(attribute).values():
        caption = shapes.get(attribute, "{} boats and a dog").format(" ".join(value.words))
        table = table_of(caption, attribute=attribute)
        assert set(table["caption"]) == {caption}
        assert said(caption, attribute) == [value]
        robbed = {kind: list(rows["negative"]) for kind, rows in table.groupby("kind")}
        (removed,) = robbed["remove"]
        assert said(removed, attribute) == [], removed
        if value.partners == frozenset():  # "a single boat" has no other value of one boat
            assert "swap" not in robbed
            continue
        (swapped,) = robbed["swap"]
        (other,) = said(swapped, attribute)
        assert value.may_become(other), swapped


@pytest.mark.parametrize(
    ("attribute", "caption", "removed", "other", "swapped"),
    [
        ("background", "a kite under the night sky", "a kite", "an owl at sea", "a kite at sea"),
        ("background", "a swimming pool", None, "a beach with owls", "a beach"),
        ("colour", "a navy blue car", "a car", "an orange owl", "an orange car"),
        ("count", "a large group of dogs", "dogs", "a pair of owls", "a pair of dogs"),
        (
            "relation",
            "a cat in front of a car",
            "a cat and a car",
            "an owl behind a house",
            "a cat behind a car",
        ),
        (
            "relation",
            "a cat far away from a car",
            "a cat and a car",
            "an owl near a house",
            "a cat near a car",
        ),
    ],
)
def test_values_of_several_words_are_taken_whole(
    attribute: str, caption: str, removed: str | None, other: str, swapped: str
):
    found = negatives(caption, attribute, "remove", among=(other,))
    assert found == ({removed} if removed else set())
    assert negatives(caption, attribute, "swap", among=(other,)) == {swapped}


@pytest.mark.parametrize(
    ("attribute", "caption", "removed"),
    [
        ("colour", "two red cars", "two cars"),
        ("count", "two red cars", "red cars"),
        ("material", "three wooden boats", "three boats"),
        ("size", "dogs with small cats", "dogs with cats"),
        ("background", "boats on sandy beaches", "boats"),
        ("background", "dogs on two city streets", "dogs"),
        ("relation", "two cats next to three cars", "two cats and three cars"),
        ("colour", "a red-brick house", "a house"),
        ("material", "a red-brick house", "a house"),
        ("colour", "a brick-red wall", "a wall"),
        ("colour", "a black-and-white dog", "a dog"),
        ("colour", "black-and-white dog", "dog"),
        ("colour", "an off-white house", "a house"),
        ("colour", "a tan-colored owl", "an owl"),
        ("size", "a large-sized owl", "an owl"),
    ],
)
def test_plurals_and_hyphens(attribute: str, caption: str, removed: str):
    assert negatives(caption, attribute, "remove") == {removed}
    assert said(caption, attribute)
    assert not said(removed, attribute)


def test_a_swap_of_a_hyphenated_colour_is_none_of_its_colours():
    among = ("a black cat", "a white cat", "a red cat")
    caption = "a black-and-white dog"
    assert negatives(caption, "colour", "swap", among=among) == {"a red dog"}


@pytest.mark.parametrize(
    ("attribute", "caption"),
    [
        ("colour", "a red-haired girl peels an orange"),
        ("colour", "a multi-colored kite"),
        ("background", "a beach house with a glass of water of the city of them"),
        ("size", "a medium-sized dog and a big-eyed cat"),
        ("count", "a two-story house and a couple who say one of two"),
        ("material", "a bird on a rock, a copper-colored pot, a brick-red wall"),
        ("relation", "a man on the left, a cat over there, two dogs behind each other"),
    ],
)
def test_words_that_only_look_like_a_value_are_none(attribute: str, caption: str):
    assert not negatives(caption, attribute, "remove")


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_captions_without_the_attribute_yield_none(attribute: str):
    others = {
        "colour": "red",
        "size": "large",
        "count": "two",
        "material": "wooden",
        "background": "boats on the beach",
        "relation": "boats above a house",
    }
    del others[attribute]
    table = table_of("a dog runs", "a red-haired girl", "an orange", attribute=attribute)
    assert table.empty
    assert list(table.columns) == ["image", "caption", "negative", "attribute", "kind"]
    assert table_of(" ".join(others.values()) + " run", attribute=attribute).empty


def test_only_train_is_read_and_alt_text_is_preferred():
    records = [
        Record("images/0.png", "train", ("a red boat",), alt_text="a green boat"),
        Record("images/1.png", "val", ("a blue boat",)),
        Record("images/2.png", "train", ("a white boat",)),
    ]
    table = build_table(records, AttributeNegativesConfig(attributes=["colour"]))
    assert set(table["caption"]) == {"a green boat", "a white boat"}
    assert "blue" not in " ".join(table["negative"])


def test_rows_of_an_image_do_not_depend_on_the_order_of_records():
    records = [Record(f"i{i}", "train", (f"a {c} boat",)) for i, c in enumerate(("red", "blue"))]
    one, two = (build_table(r, ALL).sort_values("image") for r in (records, records[::-1]))
    assert one.reset_index(drop=True).equals(two.reset_index(drop=True))


def test_unknown_attribute_is_refused():
    with pytest.raises(LexiconError, match="unknown attribute 'mood'"):
        table_of("a boat", attribute="mood")


def test_own_lexicon_is_read(tmp_path: Path):
    (tmp_path / "colour.txt").write_text("plaid\n")
    config = AttributeNegativesConfig(attributes=["colour"], lexicon_folder=str(tmp_path))
    table = build_table([Record("i", "train", ("a plaid shirt",))], config)
    assert "a shirt" in set(table["negative"])


WORDS = sorted(
    {word for name in ATTRIBUTES for value in load_lexicon(name) for word in value}
    | {"a", "an", "the", "boat", "owl", "is", "and", "with", "sits", "standing", "red-blue", ","}
    | {"red-brick", "black-and-white", "large-sized", "covered", "there"}
)
SIGNS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
CAPTIONS = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=10).map(" ".join),
    st.lists(st.one_of(st.sampled_from(WORDS), SIGNS), min_size=1, max_size=10).map(" ".join),
    st.text(min_size=1, max_size=40).filter(str.strip),
)


@given(CAPTIONS, CAPTIONS, st.integers(0, 9))
def test_negative_is_never_empty_never_equal_and_seeded(caption: str, another: str, seed: int):
    records = [Record("0", "train", (caption,)), Record("1", "train", (another,))]
    config = AttributeNegativesConfig(attributes=list(ATTRIBUTES), seed=seed)
    table = build_table(records, config)
    assert table.equals(build_table(records, config))
    for before, negative in zip(table["caption"], table["negative"], strict=True):
        assert negative.strip()
        assert key(negative) != key(before)


@settings(max_examples=50)
@given(st.lists(SIGNS, min_size=1, max_size=10))
def test_a_caption_of_no_word_of_a_lexicon_has_no_negative(words: list[str]):
    values = {part for word in WORDS for part in word.split("-")}
    caption = " ".join(words)
    plural = {
        stem for word in key(caption) for stem in (word, word[:-1], word[:-2], word[:-3] + "y")
    }
    assume(not plural & values)
    assert build_table([Record("0", "train", (caption,))], ALL).empty
