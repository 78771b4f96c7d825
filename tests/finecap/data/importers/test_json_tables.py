"""JSON tables in every form that public sets have them."""

import pytest

from finecap.data.importers.json_tables import table_rows

ROWS = [{"image": "a.jpg", "caption": "a boat"}, {"image": "b.jpg", "caption": "the sea"}]


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        {"info": {"year": 2020}, "data": ROWS, "licenses": [{"id": 1}]},
        {"image": ["a.jpg", "b.jpg"], "caption": ["a boat", "the sea"], "n": [1]},
        {"image": {"0": "a.jpg", "7": "b.jpg"}, "caption": {"0": "a boat", "7": "the sea"}},
        {"7": ROWS[0], "9": ROWS[1]},
        {"a.jpg": {"caption": "a boat"}, "b.jpg": {"caption": "the sea"}},
    ],
)
def test_rows_are_found_whichever_way_round(content):
    assert table_rows(content) == ROWS


def test_images_may_be_the_keys_of_their_captions():
    assert table_rows({"a.jpg": ["one", "two"], "b.JPG": "three"}) == [
        {"image": "a.jpg", "captions": ["one", "two"]},
        {"image": "b.JPG", "captions": "three"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a"}]},
        {"image": "a.jpg", "captions": [{"raw": "a row of JSON lines"}]},
        {"count": 3, "successes": 2},
        "text",
        None,
        [1, 2],
    ],
)
def test_what_is_no_table_has_no_rows(content):
    assert table_rows(content) == []
