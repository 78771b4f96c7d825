"""Captions split into words and put together again; a or an."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.negatives.words import fix_article, indefinite_article, key, split_caption


@pytest.mark.parametrize(
    "caption",
    [
        "A red boat , on the sea .",
        "a boat, red",
        "Boat!",
        "a red-haired girl",
        "the dog 's owner .",
    ],
)
def test_split_caption_is_undone_by_its_style(caption: str):
    words, style = split_caption(caption)
    assert style.dress(words) == caption


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_has_words(caption: str):
    words, style = split_caption(caption)
    assert words
    assert all(words)
    assert style.dress(words).strip()


def test_key_ignores_case_whitespace_and_punctuation():
    assert key("A  boat, on the sea .") == key("a boat on the sea")


@pytest.mark.parametrize(
    ("word", "article"),
    [
        ("boat", "a"),
        ("umbrella", "an"),
        ("hour", "an"),
        ("house", "a"),
        ("uniform", "a"),
        ("unusual", "an"),
        ("unidentified", "an"),
        ("european", "a"),
        ("one-legged", "a"),
        ("ukulele", "a"),
    ],
)
def test_article_follows_the_sound(word: str, article: str):
    assert indefinite_article(word) == article


def test_fix_article_leaves_other_words_and_edges_alone():
    words = ["the", "an", "boat", "a"]
    for at in range(-1, 5):
        fix_article(words, at)
    assert words == ["the", "a", "boat", "a"]
