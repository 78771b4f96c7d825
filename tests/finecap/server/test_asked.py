"""An address holds a question, and a question makes its address."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.search.query import And, Has, Not, QueryError
from finecap.server.asked import EVEN, MAX_CHIPS, MAX_NAME, Asked, Chip, with_balance

RED, NIGHT = Chip("colour", "red"), Chip("background", "night")


def read_back(address: str) -> Asked:
    """The question that a browser would ask at that address."""
    values = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    many = {name: [v for n, v in values if n == name] for name in ("has", "without")}
    one = {name: value for name, value in values if name not in {*many, "balance"}}
    mode, weight = with_balance(int(dict(values).get("balance", EVEN)))
    return Asked.read(**many, **one, mode=mode, picture_weight=weight)


@given(
    q=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip),
    value=st.sampled_from(["red", "night", "left of", "a&b=c", "<b>", "50%"]),
    balance=st.integers(0, 100),
    like=st.sampled_from(["", "images/1 & 2.png", "upload:ab"]),
)
def test_an_address_asks_the_question_that_made_it(q: str, value: str, balance: int, like: str):
    mode, weight = with_balance(balance)
    asked = Asked.read(
        q=q, has=[f"object:{value}"], without=["colour:red"], like=like, mode=mode,
        picture_weight=weight,
    )  # fmt: skip
    assert read_back(asked.address()) == asked
    assert asked.balance == balance


def test_chips_and_conditions_make_one_filter():
    asked = Asked.read(q="boat size:big", has=["colour:red"], without=["background:night"])
    assert asked.query.text == "boat"
    assert asked.query.filter == And(
        (Has("size", "large"), Has("colour", "red"), Not(Has("background", "night")))
    )


def test_chips_are_read_as_captions_are():
    assert Chip.read("size:big") == Chip("size", "large")
    assert Chip.read("object:boats") == Chip("object", "boat")


@pytest.mark.parametrize(
    "text", ["", "red", "colour:", "colour: ", "kind:red", "object:" + "x" * 999]
)
def test_what_is_no_chip_is_refused(text: str):
    with pytest.raises(QueryError, match="is no condition, expected FIELD:VALUE"):
        Chip.read(text)


def test_too_many_chips_and_too_long_keys_are_refused():
    with pytest.raises(QueryError, match="at most 32 and 1000 are read"):
        Asked.read(has=["colour:red"] * (MAX_CHIPS + 1))
    with pytest.raises(QueryError, match="an image key of 1001 characters"):
        Asked.read(like="x" * (MAX_NAME + 1))


def test_a_chip_is_in_one_state_at_a_time():
    asked = Asked.read(has=["colour:red"])
    assert asked.toggled(RED, into="without") == Asked.read(without=["colour:red"])
    assert asked.toggled(RED) == Asked()
    assert asked.toggled(NIGHT, into="has").has == (RED, NIGHT)


@pytest.mark.parametrize(
    ("balance", "mode", "weight"),
    [(0, "words", None), (20, "hybrid", 0.2), (50, "hybrid", None), (100, "picture", None)],
)
def test_the_slider_goes_from_words_to_picture(balance: int, mode: str, weight: float | None):
    assert with_balance(balance) == (mode, weight)


def test_a_plain_question_has_a_plain_address():
    assert Asked().address() == "/"
    assert Asked.read(q=" red boat ").address() == "/?q=red+boat"


def test_questions_that_differ_have_other_digests():
    asked = [Asked(), Asked(q="a"), Asked(q="a", mode="words"), Asked(has=(RED,)), Asked(like="a")]
    assert len({a.digest for a in asked}) == len(asked)
