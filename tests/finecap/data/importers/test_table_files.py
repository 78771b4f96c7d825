"""Separators, quotes, broken lines and files that are none, of tables in any form."""

import json

import pytest

from finecap.data.importers import DatasetImportError


@pytest.fixture
def source(tmp_path, photos):
    folder = tmp_path / "boats"
    photos(folder / "images", *(f"{n}.png" for n in range(4)))
    return folder


def rows(n=4):
    return [(f"images/{i}.png", f"a boat with number {i}") for i in range(n)]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separators_are_told(source, bring, separator):
    lines = [separator.join(row) for row in [("file_name", "text"), *rows()]]
    (source / "metadata.csv").write_text("\n".join(lines))
    brought = bring("csv", source)
    assert brought.captions["images/2.png"] == ("a boat with number 2",)


def test_files_that_are_no_table_are_named(source, bring):
    (source / "a.parquet").write_bytes(b"nothing")
    with pytest.raises(DatasetImportError, match=r"a\.parquet: "):
        bring("parquet", source)
    (source / "a.jsonl").write_text("[]\n")
    with pytest.raises(DatasetImportError, match="no line that is a JSON object"):
        bring("jsonl", source)
    with pytest.raises(FileNotFoundError, match=r"has no \.csv or \.tsv"):
        bring("csv", source)
    (source / "a.csv").write_bytes(b"image,caption\n\xe9\n")
    with pytest.raises(DatasetImportError, match=r"a\.csv is not UTF-8.*`iconv -f cp1252 -t utf-8"):
        bring("csv", source)
    (source / "a.csv").write_bytes("image\tcaption\n".encode("utf-16"))
    with pytest.raises(DatasetImportError, match="iconv -f utf-16"):
        bring("csv", source)


def test_a_quote_that_is_not_closed_is_reported_and_swallows_nothing_silently(source, bring):
    (source / "a.csv").write_text(
        "image,caption\n"
        'images/0.png,"two\nlines, of one"\n'
        'images/1.png,"never closed\n'
        "images/2.png,a boat\n"
        "images/3.png,a boat\n"
    )
    brought = bring("csv", source, max_bad=0.9)
    assert list(brought.captions) == ["images/0.png"]
    assert brought.captions["images/0.png"] == ("two lines, of one",)
    reasons = [reason for *_, reason in brought.faults]
    assert reasons[0] == "a quote that is not closed: lines 4 to 6 are read as one"


def test_quotes_between_tabs_are_words_unless_they_enclose_cells(source, bring):
    rows = ["image\tcaption", 'images/0.png\t"Stop" says the sign', 'images/1.png\ta "boat']
    (source / "a.tsv").write_text("\n".join(rows))
    said = [record.captions for record in bring("csv", source).records]
    assert said == [('"Stop" says the sign',), ('a "boat',)]
    (source / "a.tsv").write_text('image\tcaption\nimages/0.png\t"a ""red"" boat"\n')
    assert bring("csv", source).records[0].captions == ('a "red" boat',)


def test_a_json_list_is_a_table_too(source, bring):
    rows = [
        {"image": "images/0.png", "caption": ["one", "two"], "image_id": "coco_0"},
        {"image": "images/1.png", "caption": "three"},
    ]
    (source / "coco_karpathy_val.json").write_text(json.dumps(rows))
    assert [record.captions for record in bring("jsonl", source).records] == [
        ("one", "two"),
        ("three",),
    ]
