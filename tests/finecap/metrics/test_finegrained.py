"""Hand-computed fine-grained scores, and what must not count as a claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.data.records import Facts
from finecap.data.scenes.vocabulary import BACKGROUNDS, COLOURS, OBJECTS, SIZES
from finecap.metrics.finegrained import NAMES, chance, read_caption, read_facts, score

BOAT_AND_HOUSE: Facts = {
    "background": "sea",
    "objects": [
        {"name": "boat", "colour": "red", "size": "large"},
        {"name": "house", "colour": "blue", "size": "small"},
    ],
    "relations": [(0, "left of", 1)],
    "heldout": False,
}
LONE_CAT: Facts = {
    "background": "snow",
    "objects": [{"name": "cat", "colour": "black", "size": "small"}],
    "relations": [],
    "heldout": True,
}
FACTS = {"a": BOAT_AND_HOUSE, "b": LONE_CAT}


def test_scores_equal_hand_counts():
    scored = score(
        {
            "a": "A big red boat to the left of a green house in front of the sea.",
            "b": "a white cat and a dog on the beach",
        },
        FACTS,
    )
    expected = {
        "object_recall": 3 / 3,
        "object_precision": 3 / 3,  # "dog" is no word of the world
        "background_recall": 1 / 2,
        "background_precision": 1 / 2,
        "size_recall": 1 / 3,
        "size_precision": 1.0,
        "colour_recall": 1 / 3,
        "colour_precision": 1 / 3,
        "relation_recall": 1.0,
        "relation_precision": 1.0,
        "second_object_colour_recall": 0.0,
        "second_object_colour_precision": 0.0,
        "colour_recall_seen": 1 / 2,
        "colour_recall_heldout": 0.0,
        "background_precision_heldout": 0.0,
    }
    assert {name: scored.value(name) for name in expected} == pytest.approx(expected)


def test_nothing_claimed_is_none_with_a_reason_not_zero():
    scored = score({"a": "a boat", "b": "a cat"}, FACTS)
    assert scored.value("colour_precision") is None
    assert scored.reason("colour_precision") == "no caption of the scored images claims a colour"
    assert scored.value("relation_recall_heldout") is None
    assert scored.reason("relation_recall_heldout") == "no heldout image has a relation to claim"
    assert scored.value("colour_recall") == 0


@pytest.mark.parametrize(
    ("caption", "colours"),
    [
        ("a boat in a green meadow", set()),
        ("a red large boat", {("boat", "red")}),
        ("red and white boats", {("boat", "red"), ("boat", "white")}),
        ("a cat red and white boat", {("boat", "red"), ("boat", "white")}),
        ("a house and red boat", {("boat", "red")}),
        ("boat red a", set()),
        ("a redhouse redder house", set()),
        ("a boat is red", set()),
        ("red", set()),
    ],
)
def test_a_colour_counts_only_directly_before_its_noun(caption: str, colours: set[tuple[str, str]]):
    assert read_caption(caption).colours == colours


@pytest.mark.parametrize("word", ["houseboat", "carpet", "seaside", "catch", "boated"])
def test_no_word_counts_within_another(word: str):
    claims = read_caption(f"a {word}")
    assert not claims.objects
    assert not claims.backgrounds


@pytest.mark.parametrize(
    ("caption", "relations"),
    [
        ("a house to the right of a boat", {("boat", "left of", "house")}),
        ("a boat left of a small blue house", {("boat", "left of", "house")}),
        ("a bird under a kite over a tree", {("kite", "above", "bird"), ("kite", "above", "tree")}),
        ("a boat on the sea above a house", {("boat", "above", "house")}),
        ("a bird over the sea near a boat", set()),
        ("a boat under the night sky", set()),
        ("above a house", set()),
        ("a boat to the left of", set()),
        ("a boat to the left of the the left of", set()),
    ],
)
def test_a_relation_needs_both_its_objects(caption: str, relations: set[tuple[str, ...]]):
    assert read_caption(caption).relations == relations


def test_mirrored_relation_is_true():
    scored = score({"a": "a house right of a boat"}, FACTS)
    assert scored.value("relation_precision") == 1
    assert score({"a": "a house left of a boat"}, FACTS).value("relation_precision") == 0


def test_synonyms_and_plurals_count():
    claims = read_caption("two tiny boats and a huge house on a snowy field")
    assert claims.sizes == {("boat", "small"), ("house", "large")}
    assert claims.backgrounds == {"snow"}


def test_saying_a_thing_twice_claims_it_once():
    assert score({"b": "a cat a cat a cat"}, FACTS).value("object_precision") == 1


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_each_phrase_of_a_background_names_it_alone(background: str):
    for phrase in BACKGROUNDS[background]:
        assert read_caption(f"a boat {phrase}").backgrounds == {background}


def test_second_object_colour_needs_two_objects():
    scored = score({"b": "a black cat"}, FACTS)
    assert scored.value("second_object_colour_recall") is None
    assert scored.value("second_object_colour_precision") is None


def test_bootstrap_rows_are_resampled_with_repeats():
    scored = score({"a": "a red boat", "b": "a black cat"}, FACTS)
    assert scored.value("colour_recall", np.array([0, 0, 1])) == pytest.approx(3 / 5)


def test_chance_gives_no_image_its_own_caption_and_is_seeded():
    facts = {f"{i}": LONE_CAT | {"background": name} for i, name in enumerate(BACKGROUNDS)}
    captions = {image: f"a cat, {f['background']}" for image, f in facts.items()}
    assert score(captions, facts).value("background_recall") == 1
    assert chance(captions, facts, seed=3).value("background_recall") == 0
    first, again = (chance(captions | {"0": "a cat"}, facts, seed=5) for _ in range(2))
    assert all(np.array_equal(first.numerators[n], again.numerators[n]) for n in NAMES)


def test_chance_needs_two_captions():
    with pytest.raises(ValueError, match="two captions or more"):
        chance({"a": "a boat"}, FACTS)


def test_image_without_facts_is_refused():
    with pytest.raises(ValueError, match="1 of 2 captioned images have no facts, first 'photo'"):
        score({"a": "a boat", "photo": "a dog"}, FACTS)


def test_no_image_scores_none():
    scored = score({}, FACTS)
    assert scored.value("object_recall") is None
    assert scored.reason("object_recall") == "no image was scored"


@given(
    st.lists(
        st.sampled_from([*OBJECTS, *COLOURS, *SIZES, "a", "and", "left", "of", "over", "to", "the"])
    )
)
def test_any_word_salad_is_read_and_bounded(words: list[str]):
    scored = score({"a": " ".join(words)}, FACTS)
    values = [scored.value(name) for name in NAMES]
    assert all(value is None or 0 <= value <= 1 for value in values)


def test_facts_told_in_full_score_one_everywhere():
    caption = "a large red boat to the left of a small blue house on the sea"
    assert read_caption(caption) == read_facts(BOAT_AND_HOUSE)
