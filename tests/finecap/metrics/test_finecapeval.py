"""FineCapEval's two scores: the published one against its authors' numbers, the other by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.data.finecapeval import CATEGORIES, Annotation, FineCapEvalError, read_finecapeval
from finecap.metrics.finecapeval import published, score, words_that_count

FOLDER = Path(__file__).resolve().parents[2] / "golden"
GOLDEN = json.loads((FOLDER / "finecapeval.json").read_text())


def said(background: str = "", object: str = "", relation: str = "") -> Annotation:  # noqa: A002
    """One person's phrases of an image; what is empty has no value."""
    cells = {"background": background, "object": object, "relation": relation}
    return Annotation("a caption", {name: cell or None for name, cell in cells.items()})


def both(annotation: Annotation, caption: str) -> tuple[float, float]:
    """Object score as published, and object recall, of one image."""
    annotations, captions = {"1": [annotation]}, {"1": caption}
    recall = score(annotations, captions).value("object_recall")
    assert recall is not None
    return float(published(annotations, captions)["object"][0]), recall


def test_published_scores_are_those_of_the_authors_script():
    annotations = read_finecapeval(FOLDER / "finecapeval.csv")
    found = published(annotations, GOLDEN["captions"])
    for category, values in found.items():
        by_image = dict(zip(annotations, values, strict=True))
        scored = {image: value for image, value in by_image.items() if not np.isnan(value)}
        assert scored == pytest.approx(GOLDEN["per_image"][category])
        assert np.nanmean(values) == pytest.approx(GOLDEN["scores"][category])


@pytest.mark.parametrize(
    ("phrase", "caption", "as_published", "whole_words"),
    [
        ("man", "a woman runs", 1, 0),  # a part of another word
        ("city", "a city", 0, 1),  # its stem, "citi", is in no caption
        ("city", "two cities", 1, 1),
        ("t-shirt", "a t-shirt", 0, 1),  # "tshirt"
        ("the dog", "a dog in the park", 1, 1),
        ("the dog", "a dog in a park", 0.5, 1),  # an article names nothing
        ("Dog", "A Dog", 0, 1),  # phrases are lower-cased, captions are not
        ("dogs\\;cat", "a dog", 0.5, 0.5),
        ("brown dog\\;cat", "a dog", 0.25, 1 / 3),  # mean of phrases, share of words
    ],
)
def test_where_the_two_scores_differ(
    phrase: str, caption: str, as_published: float, whole_words: float
):
    assert both(said("x", phrase, "x"), caption) == pytest.approx((as_published, whole_words))


def test_a_row_with_an_empty_cell_is_skipped_as_published_and_counts_by_whole_words():
    annotations = {"1": [said("sea", "dog", "runs"), said("", "cat", "sleeps")]}
    captions = {"1": "a cat sleeps by the sea"}
    assert [float(v[0]) for v in published(annotations, captions).values()] == [1, 0, 0]
    counts = score(annotations, captions)
    assert counts.value("object_recall") == 0.5
    assert counts.value("relation_recall") == 0.5


def test_an_image_without_complete_row_is_no_number_as_published():
    annotations = {"1": [said("sea", "dog", "")], "2": [said("sea", "dog", "runs")]}
    found = published(annotations, {"1": "dog", "2": "dog"})["object"]
    assert np.isnan(found).tolist() == [True, False]


TWO = {
    "1": [said("grassy park", "dog\\;ball", "dog chasing ball"), said("park", "dog", "on grass")],
    "2": [said("table", "cat", "sleeping on table")],
}


def test_recall_counts_a_word_once_per_phrase_and_person():
    counts = score(TWO, {"1": "a dog and a dog on a table", "2": "the cat's asleep"})
    # Objects of 1: dog, ball, dog; of 2: cat.
    assert counts.numerators["object_recall"].tolist() == [2, 1]
    assert counts.denominators["object_recall"].tolist() == [3, 1]
    # "on" says something in a relation: dog chase ball; on grass; sleep on table.
    assert counts.numerators["relation_recall"].tolist() == [2, 0]
    assert counts.denominators["relation_recall"].tolist() == [5, 3]
    assert counts.value("recall") == (0 + 3 + 2) / (4 + 4 + 8)


def test_precision_is_of_words_that_anybody_uses_of_the_category():
    counts = score(TWO, {"1": "a dog and a dog on a table by a tree", "2": "a cat on a ball"})
    # Words of an object anywhere: dog, ball, cat. Of 1 said: dog. Of 2: cat, and ball wrongly.
    assert counts.numerators["object_precision"].tolist() == [1, 1]
    assert counts.denominators["object_precision"].tolist() == [1, 2]
    # Of a background: grassy (stem "grassi"), park, table. Of 1: table, which is another image's.
    assert counts.numerators["background_precision"].tolist() == [0, 0]
    assert counts.denominators["background_precision"].tolist() == [1, 0]
    # All words that count: dog, on, table, by, tree; cat, on, ball.
    assert counts.numerators["precision"].tolist() == [2, 2]
    assert counts.denominators["precision"].tolist() == [5, 3]


def test_a_word_is_right_in_whatever_category_the_image_has_it():
    annotations = {"1": [said("table", "cup", "on")], "2": [said("room", "table", "on")]}
    counts = score(annotations, {"1": "a table", "2": "a table"})
    assert counts.value("object_precision") == 1
    assert counts.value("background_precision") == 1


def test_an_image_without_phrases_judges_no_word():
    counts = score({"1": [said()], "2": [said(object="dog")]}, {"1": "a dog", "2": "a dog"})
    assert counts.denominators["precision"].tolist() == [0, 1]
    assert counts.denominators["object_precision"].tolist() == [0, 1]


def test_what_cannot_be_had_is_none_with_a_reason():
    counts = score({"1": [said(object="dog")]}, {"1": "the"})
    assert counts.value("relation_recall") is None
    assert counts.reason("relation_recall") == "no image has relation phrases"
    assert counts.value("object_precision") is None
    assert counts.reason("object_precision") == "no caption has a word of the object phrases"
    assert counts.value("object_recall") == 0


def test_words_that_name_nothing_do_not_count():
    text = "There is a man and his dog, who were in front of the city's houses."
    assert words_that_count(text) == ["man", "dog", "in", "front", "of", "citi", "hous"]
    assert words_that_count(text, "object") == ["man", "dog", "front", "citi", "hous"]
    assert words_that_count(text, "relation") == words_that_count(text)


def test_a_caption_that_says_all_phrases_is_right_and_complete():
    text = "grassy park dog ball chasing on grass"
    annotations = {"1": TWO["1"]}
    counts = score(annotations, {"1": text})
    assert {counts.value(name) for name in counts.numerators} == {1}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["dog", "dogs", "a", "park", "on", "-", "\\;", "ran"]), max_size=8))
def test_all_scores_lie_between_zero_and_one(words: list[str]):
    caption = " ".join(words)
    annotations = {"1": [said(caption, "dog\\;a park", "runs on")], "2": [said(object="cat")]}
    captions = {"1": caption, "2": caption}
    counts = score(annotations, captions)
    values = [counts.value(name) for name in counts.numerators]
    assert all(value is None or 0 <= value <= 1 for value in values)
    for values in published(annotations, captions).values():
        assert ((values[~np.isnan(values)] >= 0) & (values[~np.isnan(values)] <= 1)).all()


def test_an_annotated_image_without_caption_is_refused():
    with pytest.raises(FineCapEvalError, match="1 of 2 annotated images have no caption, first 2"):
        score(TWO, {"1": "a dog", "3": "a cat"})
    with pytest.raises(FineCapEvalError, match="cut the CSV"):
        published(TWO, {})


def test_categories_are_the_columns():
    assert set(published(TWO, dict.fromkeys(TWO, "x"))) == set(CATEGORIES)
