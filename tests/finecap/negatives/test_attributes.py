"""Attribute negatives: what is removed, what is swapped, and that they read well."""

# ruff: noqa: S311  # seeded chance, not secrets

from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.config import AttributeNegativesConfig
from finecap.data.records import Record
from finecap.negatives.attributes import build_table
from finecap.negatives.lexicons import ATTRIBUTES, LexiconError, load_lexicon
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


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_of_every_lexicon_gives_negatives(attribute: str):
    shapes = {"background": "a boat in the {}", "relation": "a boat {} a house"}
    for words in load_lexicon(attribute):
        caption = shapes.get(attribute, "{} boats").format(" ".join(words))
        table = table_of(caption, attribute=attribute)
        assert "remove" in set(table["kind"]), caption
        assert not any(key(negative) == key(caption) for negative in table["negative"])


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_captions_without_the_attribute_yield_none(attribute: str):
    table = table_of("a dog runs", "a red-haired girl", "an orange", attribute=attribute)
    assert table.empty
    assert list(table.columns) == ["image", "caption", "negative", "attribute", "kind"]


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
)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=10), st.integers(0, 9))
def test_negative_is_never_empty_never_equal_and_seeded(words: list[str], seed: int):
    caption = " ".join(words)
    Random(seed).shuffle(words)
    records = [Record("0", "train", (caption,)), Record("1", "train", (" ".join(words),))]
    config = AttributeNegativesConfig(attributes=list(ATTRIBUTES), seed=seed)
    table = build_table(records, config)
    assert table.equals(build_table(records, config))
    for before, negative in zip(table["caption"], table["negative"], strict=True):
        assert negative.strip()
        assert key(negative) != key(before)
