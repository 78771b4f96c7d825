"""Tables with an image and captions in each row, as people and the hub have them."""

import json

import pandas as pd
import pytest

from finecap.data.importers import DatasetImportError


@pytest.fixture
def source(tmp_path, photos):
    folder = tmp_path / "boats"
    photos(folder / "images", *(f"{n}.png" for n in range(4)))
    return folder


def rows(n=4):
    return [(f"images/{i}.png", f"a boat with number {i}") for i in range(n)]


def test_columns_are_named_where_they_cannot_be_told(source, bring):
    lines = [f"{image};{said};{said} again\n" for image, said in rows()]
    (source / "boats.csv").write_text("which;was gesagt;noch\n" + "".join(lines))
    with pytest.raises(
        DatasetImportError, match=r"which column has the image.*--column image=NAME"
    ):
        bring("csv", source)
    columns = {"image": ["which"], "caption": ["was gesagt", "noch"]}
    brought = bring("csv", source, columns=columns)
    assert brought.records[0].captions == ("a boat with number 0", "a boat with number 0 again")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["picture"]}, "no column 'picture', there are image, caption"),
        ({"size": ["image"]}, "--column size=.*expected one of image, caption, split, alt_text"),
    ],
)
def test_a_wrong_mapping_is_refused(source, bring, columns, message):
    (source / "boats.csv").write_text("image,caption\n")
    with pytest.raises(DatasetImportError, match=message):
        bring("csv", source, columns=columns)


def test_numbered_columns_are_captions_and_lists_are_lists(source, bring):
    (source / "a.csv").write_text(
        "image,caption_0,caption_1,split\n"
        'images/0.png,a boat,,train\nimages/1.png,"[""one"", ""two""]",three,dev\n'
        "images/2.png,\"['one', 'two']\",[sic] three,test\n"
    )
    brought = bring("csv", source)
    assert [record.captions for record in brought.records] == [
        ("a boat",),
        ("one", "two", "three"),
        ("one", "two", "[sic] three"),
    ]
    assert [record.split for record in brought.records] == ["train", "val", "test"]


def test_rows_of_one_image_are_joined_wherever_they_stand(source, bring):
    said = [*rows(3), ("images/2.png", "again"), ("images/0.png", "and again")]
    (source / "a.tsv").write_text(
        "\n".join("\t".join(row) for row in [("image", "caption"), *said])
    )
    brought = bring("csv", source)
    assert brought.captions["images/0.png"] == ("a boat with number 0", "and again")
    assert brought.report.images == 3


def test_bad_rows_are_reported_with_their_line(source, bring):
    (source / "a.csv").write_text(
        "image,caption,split\n"
        "images/0.png,a boat,train\n"
        "images/1.png,a, boat,train\n"
        "http://example.org/1.png,a boat,train\n"
        "elsewhere/2.png,a boat,train\n"
        "images/3.png,a boat,holdout\n"
        ",a boat,train\n"
    )
    assert [reason for *_, reason in bring("csv", source, max_bad=0.9).faults] == [
        "4 cells, expected 3; quote a cell with separators",
        "'http://example.org/1.png' is an address, expected a file; download it first",
        "no such photo in boats/, only 'images/2.png' ('ln -s images elsewhere' there mends it)",
        "unknown split 'holdout', expected train, val (dev) or test",
        "no image",
    ]


def test_json_lines_of_ours_and_of_an_image_folder(source, bring):
    lines = [
        {
            "image": "images/0.png",
            "split": "train",
            "captions": ["a", "b"],
            "alt_text": "long text",
        },
        {"image": "images/1.png", "split": "val", "captions": ["c"]},
    ]
    text = "\n".join([*map(json.dumps, lines), "{broken"])
    (source / "captions.jsonl").write_text(text)
    brought = bring("jsonl", source / "captions.jsonl", max_bad=0.5)
    assert brought.records[0].alt_text == "long text"
    assert brought.records[0].captions == ("a", "b")
    assert brought.faults[0][2].startswith("broken JSON at column 2")


def test_image_folders_with_a_table_in_each_split(tmp_path, photos, bring):
    for split in ("train", "validation", "test"):
        folder = tmp_path / "hub" / split
        photos(folder, "0001.png")
        (folder / "metadata.jsonl").write_text('{"file_name": "0001.png", "text": "a boat"}\n')
    brought = bring("jsonl", tmp_path / "hub", max_bad=0.5)
    assert brought.report.by_split == {"train": 1, "val": 1, "test": 1}


def test_photos_at_absolute_paths_are_taken_from_there_alone(source, tmp_path, photos, bring):
    photos(tmp_path / "far", "9.png")
    (source / "a.csv").write_text(
        f"image,caption\n{tmp_path}/far/9.png,a boat\n/no/such/1.png,a boat\n"
    )
    brought = bring("csv", source, max_bad=0.5)
    assert list(brought.captions) == ["images/9.png"]
    assert [image for image, *_ in brought.faults] == ["/no/such/1.png"]


def test_parquet_shards_hold_images_and_say_their_split(source, tmp_path, bring):
    folder = tmp_path / "parquet"
    folder.mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        content = (source / "images" / f"{number}.png").read_bytes()
        table = {
            "image": [{"bytes": content, "path": None}, {"bytes": content, "path": None}],
            "sentences": [["one", "two"], ["three"]],
            "id": [1, 2],
        }
        pd.DataFrame(table).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    brought = bring("parquet", folder)
    assert brought.report.by_split == {"train": 1, "val": 1, "test": 1}
    assert brought.records[0].captions == ("one", "two", "three")
    assert brought.records[0].image == "images/test-00000-of-00001-1.png"


def test_parquet_with_paths(source, bring):
    pd.DataFrame(rows(), columns=["image", "caption"]).to_parquet(source / "a.parquet")
    assert bring("parquet", source).report.captions == 4


@pytest.mark.usefixtures("source")
def test_an_import_below_its_source_is_no_part_of_it(tmp_path, bring):
    lines = [",".join(row) for row in [("image", "caption"), *rows()]]
    (tmp_path / "boats.csv").write_text("\n".join(lines))
    columns = {"image": ["image"], "caption": ["caption"]}
    first = bring("csv", tmp_path, columns=columns)
    assert first.report.images == 4
    assert bring("csv", tmp_path, columns=columns).report.unchanged
