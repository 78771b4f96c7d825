import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.search.query import (
    MAX_CHARACTERS,
    And,
    Has,
    Not,
    Or,
    QueryError,
    matched_words,
    parse,
    passes,
    ranks,
    reciprocal_rank,
    weighted,
)


def test_free_text_stays_text():
    assert parse("  boats  docked: 10:30 http://x.y ").text == "boats docked: 10:30 http://x.y"


@pytest.mark.parametrize("field", ["color", "colour", "Colour"])
def test_both_spellings_of_colour_are_one_field(field):
    assert parse(f"{field}:Red").filter == Has("colour", "red")


def test_conditions_are_joined_by_and_commas_by_or_minus_negates():
    assert parse("boat colour:red,blue -background:night").filter == And(
        (Or((Has("colour", "red"), Has("colour", "blue"))), Not(Has("background", "night")))
    )


def test_quotes_keep_a_value_of_two_words_together():
    assert parse('house relation:"left of"').filter == Has("relation", "left of")


def test_values_are_made_canonical():
    assert parse("size:big", lambda f, v: f"{f}/{v}").filter == Has("size", "size/big")


def test_names_of_versions_keep_their_case():
    assert parse("model_version:V2").filter == Has("model_version", "V2")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "query is empty"),
        ("  \n\x00", "query is empty"),
        ("x" * (MAX_CHARACTERS + 1), "at most 2000"),
        ("shape:round", "unknown field 'shape', expected one of colour"),
        ("colour:", "needs a value, e.g. colour:red"),
        ('colour:""', "needs a value"),
        ("boat -night", "only a field can be excluded"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_query_that_cannot_be_answered_says_what_to_type(query, message):
    with pytest.raises(QueryError, match=message):
        parse(query)


@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused_by_name(query):
    try:
        parsed = parse(query)
    except QueryError:
        return
    assert parsed.text or parsed.filter


def test_a_filter_means_what_it_says():
    night_or_red = Or((Has("background", "night"), Has("colour", "red")))
    assert passes(night_or_red, {"colour": ("red",)})
    assert not passes(And((night_or_red, Not(Has("colour", "red")))), {"colour": ("red",)})
    assert passes(Not(Has("size", "large")), {})


def test_matched_words_see_through_plural_case_and_accents_but_not_substrings():
    assert matched_words("BOATS near the cafe", "A boat near Café boathouse") == (
        "boat",
        "near",
        "Café",
    )
    assert matched_words("the a of", "a boat of the sea") == ()


def test_equal_scores_share_their_rank():
    assert ranks([("b", 2.0), ("a", 2.0), ("c", 1.0)]) == {"b": 1, "a": 1, "c": 3}


def test_reciprocal_rank_sums_over_rankings_with_k_60():
    fused = reciprocal_rank([[("a", 9.0), ("b", 3.0)], [("b", 0.5)]])
    assert fused == [("b", pytest.approx(1 / 62 + 1 / 61)), ("a", pytest.approx(1 / 61))]


def test_fused_ties_are_ordered_by_image():
    assert [image for image, _ in reciprocal_rank([[("b", 1.0)], [("a", 1.0)]])] == ["a", "b"]


def test_weight_0_is_words_and_weight_1_is_picture():
    words, pictures = [("a", 5.0), ("b", 1.0)], [("b", 0.9), ("a", 0.1)]
    assert weighted(words, pictures, 0.0) == [("a", 1.0), ("b", 0.0)]
    assert weighted(words, pictures, 1.0) == [("b", 1.0), ("a", 0.0)]


def test_a_weight_outside_its_range_is_refused():
    with pytest.raises(QueryError, match=r"expected 0 \(words\) to 1"):
        weighted([], [], 1.5)


names = st.text(string.ascii_lowercase, min_size=1, max_size=3)
scores = st.dictionaries(names, st.integers(0, 5).map(float), max_size=8)


@given(scores, scores)
def test_fusion_does_not_depend_on_the_order_ties_arrive_in(first, second):
    def ranking(of, flip):
        return sorted(of.items(), key=lambda i: (-i[1], i[0] if flip else i[0][::-1]))

    flipped = [[ranking(of, flip) for of in (first, second)] for flip in (True, False)]
    assert reciprocal_rank(flipped[0]) == reciprocal_rank(flipped[1])
    assert weighted(*flipped[0], 0.3) == weighted(*flipped[1], 0.3)
