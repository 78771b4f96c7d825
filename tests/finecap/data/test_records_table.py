"""Each line has its row, and copies across splits name the image that stays."""

import shutil

from finecap.config import ValidationConfig
from finecap.data.records import scan_records
from finecap.data.records_table import COLUMNS, records_table


def table_of(data, *more_lines):
    data.write(*more_lines)
    rows, problems = scan_records(data.folder / "captions.jsonl")
    return records_table(data.folder, rows, problems, ValidationConfig())


def test_each_line_has_a_row_in_order(data):
    table = table_of(data, "{", '{"image": "images/77.png"}')
    assert list(table.columns) == list(COLUMNS)
    assert table["line"].tolist() == list(range(1, 15))
    assert table["named"].tolist()[-2:] == ["", "images/77.png"]
    assert table["image"].isna().sum() == 2
    assert table["parse_error"].notna().sum() == 2


def test_lengths_and_sizes_are_counted(data):
    data.rows[0]["captions"] = ["a", "a red boat", "the sea"]
    data.rows[0]["alt_text"] = "long"
    first = table_of(data).iloc[0]
    assert (first["caption_count"], first["shortest_words"], first["longest_words"]) == (3, 1, 3)
    assert first["text"] == "a / a red boat / the sea / long"
    assert (first["width"], first["short_side"], first["long_side"]) == (40, 40, 40)


def test_a_copy_names_the_image_that_stays(data):
    for number in (0, 9):  # train, val
        shutil.copy(data.image(11), data.image(number))
    shutil.copy(data.image(1), data.image(2))  # both train: no leak
    table = table_of(data)
    copies = {row.image: row.copy_of for row in table.itertuples() if row.copy_of is not None}
    assert copies == dict.fromkeys(["images/00.png", "images/09.png"], "images/11.png in test")


def test_rows_without_bytes_are_no_copies(data):
    for number in (0, 10, 11):
        data.image(number).unlink()
    assert table_of(data)["copy_of"].isna().all()
