import pandas as pd

from finecap.data.records import Record
from finecap.search.associations import ALT_TEXT, derived_from, references_of
from finecap.search.index import Derived, StoredCaption

GRAMMAR = pd.DataFrame(
    {"caption": ["a boat"], "negative": ["boat a boat"], "kind": ["insert"]}, dtype="str"
)
ATTRIBUTES = pd.DataFrame(
    [
        ("1.png", "a red boat", "a boat", "colour", "remove"),
        ("1.png", "a red boat", "a blue boat", "colour", "swap"),
        ("2.png", "a red boat", "a green boat", "colour", "swap"),
    ],
    columns=["image", "caption", "negative", "attribute", "kind"],
    dtype="str",
)
INSERTED = Derived("boat a boat", is_grammatical=False, change="insert")


def test_captions_come_in_order_and_the_alternative_text_last():
    record = Record("1.png", "val", ("a boat", "boats"), alt_text="a long text")
    assert references_of([record]) == {
        "1.png": [
            StoredCaption("a boat", "human"),
            StoredCaption("boats", "human"),
            StoredCaption("a long text", "human", variant=ALT_TEXT),
        ]
    }


def test_attribute_negatives_are_sentences_of_their_image_and_grammar_negatives_are_none():
    derived = derived_from(GRAMMAR, ATTRIBUTES)
    records = [
        Record("1.png", "train", ("a boat",), alt_text="a red boat"),
        Record("2.png", "train", ("a boat",)),
    ]
    found = references_of(records, derived)
    plain, long = found["1.png"]
    assert plain.derived == (INSERTED,)
    assert long.derived == (
        Derived("a boat", is_grammatical=True, change="remove colour"),
        Derived("a blue boat", is_grammatical=True, change="swap colour"),
    )
    assert found["2.png"][0].derived == (INSERTED,)


def test_models_are_told_of_the_images_they_were_trained_on():
    records = [Record("1.png", "train", ("a boat",)), Record("2.png", "val", ("a car",))]
    found = references_of(records, trained={"1.png": ["captioner/3"]})
    assert found["1.png"][0].trained == ("captioner/3",)
    assert found["2.png"][0].trained == ()


def test_nothing_is_derived_where_there_are_no_tables():
    assert derived_from(None, None) == {}
