"""Cells as tables have them: captions in any form, images as paths or bytes."""

import pytest

from finecap.data.importers.columns import (
    NoTableError,
    RowError,
    captions_in,
    chosen,
    image_in,
    split_in,
)


def test_usual_names_are_known_in_any_case():
    header = ["ID", "File_Name", "Sentences", "Split"]
    assert chosen(header, {}, "t", bool) == {
        "image": ["File_Name"],
        "caption": ["Sentences"],
        "split": ["Split"],
    }


def test_of_several_columns_the_one_that_leads_to_images_is_taken():
    header = ["image", "file_name", "id", "caption"]
    assert chosen(header, {}, "t", bool)["image"] == ["image"]
    assert chosen(header, {}, "t", lambda name: name == "id")["image"] == ["id"]
    assert chosen(header, {}, "t", lambda _: False)["image"] == ["image"]
    with pytest.raises(NoTableError, match=r"which column has the image\? There are id, caption"):
        chosen(["id", "caption"], {}, "t", lambda _: False)


def test_addresses_in_the_place_of_images_are_told():
    with pytest.raises(NoTableError, match=r"addresses \(URL\) and no images.*--caption_col TEXT"):
        chosen(["URL", "TEXT"], {}, "t", bool)
    wit = ["page_url", "image_url", "caption_reference_description"]
    said = "--url_col image_url --caption_col caption_reference_description"
    with pytest.raises(NoTableError, match=said):
        chosen(wit, {}, "t", bool)
    with pytest.raises(NoTableError, match="an address where columns should be named"):
        chosen(["a bus", "http://example.org/1.jpg"], {}, "t", bool)


@pytest.mark.parametrize(
    ("cell", "captions"),
    [
        ("a boat", ("a boat",)),
        (["a", "b"], ("a", "b")),
        ([{"raw": "a"}, {"text": "b"}], ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("['a', \"b's\"]", ("a", "b's")),
        ("[sic] a boat", ("[sic] a boat",)),
        (None, ()),
    ],
)
def test_captions_in_any_form(cell, captions):
    assert captions_in([cell]) == captions


@pytest.mark.parametrize("cell", [3.5, {"id": 3}, b"a boat"])
def test_what_is_no_caption_is_refused(cell):
    with pytest.raises(RowError, match="a caption is"):
        captions_in([cell])


def test_images_are_paths_or_bytes():
    assert image_in(" a/b.jpg ") == ("a/b.jpg", None)
    assert (image_in(9), image_in(9.0)) == (("9", None), ("9", None))
    assert image_in(b"bytes") == ("", b"bytes")
    assert image_in({"bytes": b"bytes", "path": "b.jpg"}) == ("b.jpg", b"bytes")
    for cell, message in [
        (3.5, "the image is '3.5'"),
        (True, "the image is 'True'"),
        ({"bytes": None}, "no image"),
        (" ", "no image"),
    ]:
        with pytest.raises(RowError, match=message):
            image_in(cell)


def test_splits_are_known_or_refused():
    assert [split_in(cell) for cell in ("dev", "Validation", "", None)] == [
        "val",
        "val",
        None,
        None,
    ]
    with pytest.raises(RowError, match="unknown split 'holdout'"):
        split_in("holdout")
