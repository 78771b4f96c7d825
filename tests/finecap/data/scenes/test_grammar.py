"""Captions that a careful reader accepts or rejects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.data.scenes.grammar import is_grammatical
from finecap.data.scenes.vocabulary import BACKGROUNDS, OBJECTS, RELATIONS

ACCEPTED = """
a boat
an umbrella
an orange boat
A large red boat on the sea.
there is a boat
there is an umbrella on the beach
there is a picture of a boat
a picture of a boat
a photo of an orange cat in the forest
an image of a small blue kite
a boat and a house
a boat and a house and a tree
a boat with a house
a boat near a house
a boat with a house and a cat under the night sky
a boat to the left of a small white house
a boat left of a house
a boat to the left of a house and above a cat in a green meadow
a boat above a house below a cat
a boat at night
at night a boat
at night there is a boat and a cat
on a sandy beach there is a large red boat to the right of a bench
in front of a sunset there is a black umbrella under a small green airplane
a boat on the beach at night
a boat on a snowy field in front of a city
a boat in the night
a boat under a night sky
a boat on the left of a house
a boat to the left and a cat to the right
to the left of a house there is a boat
a big red boat near a tiny house
a boat is on the sea
a boat on the sea is red
a cat is to the left of a house
a cat on a bench
the red boat on the beach
boats on the sea
two boats and three cats
a sandy beach
a boat and the sea
a boat over the city
a red boat and a blue boat
""".strip().splitlines()

REJECTED = """
a umbrella
an boat
a orange boat
an red umbrella
a red red boat
a red blue boat
a green large boat
a large small boat
boat red a
red boat
boat
a
a red
a boat on the
a boat on
a boat with
a boat and
a boat to the left of
a boat in front of
a boat in front of a
a boat on the night
on the night
on the beach
at night
there is
there is boat
there are a boat
a picture of
a picture a boat
picture of a boat
an picture of a boat
a a boat
a boat a house
a boat house
a boat a boat
a boat and a boat
a boat and and a house
a boat above above a house
a boat above a house above a house
a boat to the left a house
a boat left a house
a boat on the beach on the beach
a boat on the beach on a sandy beach
a boat in the forest in front of a forest
at night a boat at night
a boat at night at night
a boat there is a house
a boat in the beach
a boat on beach
a boat at the night
a boat on a sea
a boat in front of the night
a boat under the night
a boat under the
a boats
two boat
boats is on the sea
a boat and a house is
a boat is
a dog on the beach
above a house a boat
a boat of a house
a boat front of a house
a picture of a picture of a boat
there is there is a boat
a boat in a green
a boat on a sandy
""".strip().splitlines()


@pytest.mark.parametrize("caption", ACCEPTED)
def test_careful_reader_accepts(caption: str) -> None:
    assert is_grammatical(caption)


@pytest.mark.parametrize("caption", [*REJECTED, "", " ", "."])
def test_careful_reader_rejects(caption: str) -> None:
    assert not is_grammatical(caption)


@pytest.mark.parametrize("phrase", [p for phrases in BACKGROUNDS.values() for p in phrases])
def test_every_background_phrase_fits_before_and_after(phrase: str) -> None:
    assert is_grammatical(f"a cat {phrase}")
    assert is_grammatical(f"{phrase} there is a cat")
    assert not is_grammatical(f"a cat {phrase} {phrase}")


@pytest.mark.parametrize("phrase", [p for phrases in RELATIONS.values() for p in phrases])
@pytest.mark.parametrize("name", OBJECTS)
def test_every_relation_takes_every_object(phrase: str, name: str) -> None:
    article = "an" if name[0] in "au" else "a"
    assert is_grammatical(f"a red kite {phrase} {article} {name}")
    assert not is_grammatical(f"a red kite {phrase}")


_WORDS = sorted({word for caption in ACCEPTED for word in caption.lower().rstrip(".").split()})


@given(st.lists(st.sampled_from(_WORDS), max_size=32))
def test_any_words_get_a_verdict(words: list[str]) -> None:
    assert is_grammatical(" ".join(words)) in {True, False}


@given(st.sampled_from(ACCEPTED), st.sampled_from(["a", "an", "and", "with", "of", "there"]))
def test_no_caption_ends_in_a_function_word(caption: str, word: str) -> None:
    assert not is_grammatical(f"{caption.rstrip('.')} {word}")


def test_a_long_caption_is_judged_quickly() -> None:
    # The longest a captioner can say; nested choices must not multiply.
    caption = (
        "a red cat and a boat near a tree and in the city with a kite and above a bench and " * 2
    )
    assert not is_grammatical(caption)
