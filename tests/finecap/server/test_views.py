"""What a page shows is computed right: marks, chips, formulas, differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.search.index import Hit, StoredCaption
from finecap.server.asked import Asked, with_balance
from finecap.server.views import balanced, fields, joined, marked, scores, side, versions

HIT = Hit("a", "a", "a red boat", 0.0325, 2, 3.5, "bm25", 1, 0.75, ("boat",))


@given(st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3))
def test_marking_changes_no_letter(text: str, words: list[str]):
    assert "".join(piece.text for piece in marked(text, words)) == text


def test_words_are_marked_whole():
    pieces = marked("a boat, a boathouse, boat's", ["boat"])
    assert [piece.text for piece in pieces if piece.is_marked] == ["boat", "boat"]


def test_every_score_is_named():
    assert scores(HIT) == (("words", "3.50 (#2)"), ("picture", "0.750 (#1)"), ("both", "0.0325"))
    assert scores(Hit("a", "a", "a boat", 0.0)) == ()


@pytest.mark.parametrize(
    ("balance", "says", "formula"),
    [
        (0, "by the words alone", "by the words' score alone"),
        (50, "both alike", "1/(60 + 2) + 1/(60 + 1) = 0.0325 (reciprocal rank fusion)"),
        (70, "30 % words, 70 % picture", "0.30 * words + 0.70 * picture"),
        (100, "by the picture alone", "by the picture's cosine alone"),
    ],
)
def test_a_place_is_explained(balance: int, says: str, formula: str):
    mode, weight = with_balance(balance)
    assert balanced(balance) == says
    assert formula in joined(HIT, Asked(mode=mode, picture_weight=weight))


def test_chips_lead_to_what_they_say():
    asked = Asked.read(q="boat", has=["colour:red"])
    (colour,) = fields({"colour": {"red": 3, "blue": 1}, "split": {"val": 4}}, asked)
    red, blue = colour.first
    assert (red.state, red.drop) == ("has", "/?q=boat")
    assert blue.include == "/?q=boat&has=colour%3Ared&has=colour%3Ablue"
    assert blue.exclude == "/?q=boat&has=colour%3Ared&without=colour%3Ablue"


def test_the_rarest_values_are_counted_and_not_shown():
    counts = {f"thing{number}": 100 - number for number in range(100)}
    (field,) = fields({"object": counts}, Asked())
    shown = [chip.name for chip in (*field.first, *field.rest)]
    assert shown == [f"thing{number}" for number in range(60)]
    assert field.rarer == 40
    (few,) = fields({"object": {"boat": 1}}, Asked())
    assert (len(few.first), few.rest, few.rarer) == (1, (), 0)


def test_versions_and_people_have_names():
    said = versions(
        [
            StoredCaption("a", "model", "0123456789abcdef", "clip_s", is_current=True),
            StoredCaption("b", "human"),
            StoredCaption("c", "human"),
        ]
    )
    assert list(said) == ["clip_s · 0123456789ab", "person 1", "person 2"]


def test_a_side_marks_what_the_other_does_not_say():
    pieces, words = side("a large red boat", "a red boat", "big boats")
    assert "".join(piece.text for piece in pieces) == "a large red boat"
    assert [piece.text for piece in pieces if piece.is_marked] == ["large"]
    assert words == ("boat",)
