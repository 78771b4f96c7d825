"""Few bad rows are set aside with their reason, many stop the run, and nothing is lost."""

import csv
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finecap.config import ValidationConfig
from finecap.data.expectations import ValidationFailed, validate
from finecap.data.records import read_records
from finecap.log import silent

LENIENT = ValidationConfig(max_quarantined_share=0.5)


def check(data, config=LENIENT):
    destination = data.folder.parent / "verdict"
    destination.mkdir(exist_ok=True)
    return validate(data.folder, config, destination, silent)


def quarantine(validation):
    with validation.quarantine.open(newline="") as file:
        return [(row["image"], int(row["line"]), row["reason"]) for row in csv.DictReader(file)]


def test_a_good_folder_passes_whole(data):
    data.write()
    validation = check(data, ValidationConfig())
    assert validation.success
    assert (validation.n_records, validation.n_quarantined) == (12, 0)
    assert validation.by_split == {"train": 8, "val": 2, "test": 2}
    assert validation.by_part == {"clip": 5, "judge": 3}
    assert all(verdict.success for verdict in validation.expectations)
    assert read_records(validation.records) == read_records(data.folder / "captions.jsonl")
    assert quarantine(validation) == []


def test_the_split_table_names_each_good_image_with_its_md5(data):
    data.write()
    table = pd.read_parquet(check(data).splits)
    assert list(table.columns) == ["image", "split", "part", "md5"]
    assert table["md5"].str.fullmatch("[0-9a-f]{32}").all()
    assert table["part"].tolist() == ["clip"] * 5 + ["judge"] * 3 + [""] * 4


def test_results_name_each_expectation_with_counts(data):
    data.image(0).write_bytes(b"broken")
    data.write()
    results = json.loads(check(data).results.read_text())
    by_name = {row["name"]: row for row in results["expectations"]}
    assert results["n_quarantined"] == 1
    assert by_name["image_unique"]["success"]
    decodes = by_name["image_decodes"]
    assert (decodes["success"], decodes["evaluated"], decodes["unexpected"]) == (False, 12, 1)
    assert decodes["examples"][0].startswith("line 1: the image does not decode")


def spoil_line(data):
    data.write('{"image": "images/99.png", ')
    return "images/99.png", 13, "broken JSON at column"


def spoil_duplicate(data):
    data.write(json.dumps(data.rows[3]))
    return "images/03.png", 13, '"image" images/03.png is already on line 4'


def spoil_caption(data):
    data.rows[1]["captions"] = [""]
    return "images/01.png", 2, r'"captions\[1\]" is empty'


def spoil_split(data):
    data.rows[1]["split"] = "dev"
    return "images/01.png", 2, '"split" is "dev"'


def spoil_length(data):
    data.rows[1]["captions"] = ["a boat", "boat " * 61]
    return "images/01.png", 2, "a caption has 61 words, expected at most 60"


def spoil_charset(data):
    data.rows[1]["captions"] = ["a boat\ufffd on the sea"]
    return "images/01.png", 2, "text has control or replacement characters"


def spoil_alt_text(data):
    data.rows[1]["alt_text"] = "a boat\non the sea"
    return "images/01.png", 2, "text has control or replacement characters"


def spoil_missing(data):
    data.image(1).unlink()
    return "images/01.png", 2, "01.png does not exist"


def spoil_truncated(data):
    content = data.image(1).read_bytes()
    data.image(1).write_bytes(content[: len(content) // 2])
    return "images/01.png", 2, "the image does not decode: "


def spoil_checksum(data):
    content = bytearray(data.image(1).read_bytes())
    content[-20] ^= 0xFF
    data.image(1).write_bytes(bytes(content))
    return "images/01.png", 2, "the image does not decode: "


def spoil_small(data):
    Image.fromarray(np.zeros((31, 40, 3), np.uint8)).save(data.image(1))
    return "images/01.png", 2, "the shorter side has 31 px, expected 32 or more"


def spoil_large(data):
    Image.new("L", (8193, 32)).save(data.image(1))
    return "images/01.png", 2, "the longer side has 8193 px, expected at most 8192"


def spoil_copy(data):
    shutil.copy(data.image(11), data.image(1))
    return "images/01.png", 2, "same photo as images/11.png in test, which keeps it"


def spoil_html(data):
    data.rows[1]["captions"] = ["a boat<br>on the sea"]
    return "images/01.png", 2, "text has markup: "


def spoil_url(data):
    data.rows[1]["captions"] = ["a boat", "more at www.boats.example"]
    return "images/01.png", 2, "text has an address"


def spoil_personal(data):
    data.rows[1]["captions"] = ["a boat, call 555-123-4567"]
    return "images/01.png", 2, "may be a person's details"


def spoil_name(data):
    data.rows[1]["captions"] = ["a boat, 01.png"]
    return "images/01.png", 2, "text repeats the file's name 01.png"


def spoil_script(data):
    data.rows[1]["captions"] = ["лодка на море"]
    return "images/01.png", 2, "100% of the letters are not Latin, expected 50% or less"


def spoil_blank(data):
    Image.new("RGB", (40, 40), (90, 90, 90)).save(data.image(1))
    return "images/01.png", 2, "the image is blank: colours vary by 0 of 255"


def spoil_aspect(data):
    data.image(1).write_bytes(data.image(2).read_bytes())
    Image.open(data.image(2)).resize((400, 40)).save(data.image(1))
    return "images/01.png", 2, "one side is 10 times the other, expected 8 at most"


def spoil_exif(data):
    Image.open(data.image(1)).save(data.image(1), exif=b"Exif\0\0nonsense")
    return "images/01.png", 2, "the EXIF block is corrupt: no TIFF header"


def spoil_near_copy(data):
    pixels = np.array(Image.open(data.image(11)))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(data.image(1))
    return "images/01.png", 2, "looks the same as images/11.png in test, which keeps it"


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_html,
        spoil_url,
        spoil_personal,
        spoil_name,
        spoil_script,
        spoil_blank,
        spoil_aspect,
        spoil_exif,
        spoil_near_copy,
        spoil_line,
        spoil_duplicate,
        spoil_caption,
        spoil_split,
        spoil_length,
        spoil_charset,
        spoil_alt_text,
        spoil_missing,
        spoil_truncated,
        spoil_checksum,
        spoil_small,
        spoil_large,
        spoil_copy,
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(data, spoil):
    image, line, reason = spoil(data)
    if not (data.folder / "captions.jsonl").exists():
        data.write()
    validation = check(data)
    [row] = quarantine(validation)
    assert row[:2] == (image, line)
    assert re.search(reason, row[2])
    kept = 12 if line == 13 else 11
    assert validation.n_records == len(read_records(validation.records)) == kept


def test_too_few_captions_are_set_aside(data):
    data.rows[1]["captions"] = ["a boat"]
    data.write()
    config = ValidationConfig(min_captions=2, max_quarantined_share=0.5)
    [row] = quarantine(check(data, config))
    assert row[2] == "1 captions, expected 2 or more"


def test_a_row_with_several_faults_is_set_aside_once_with_all_reasons(data):
    data.image(1).unlink()
    data.rows[1]["captions"] = ["boat " * 61]
    data.write()
    validation = check(data)
    [(image, _, reason)] = quarantine(validation)
    assert image == "images/01.png"
    assert "61 words" in reason
    assert "does not exist" in reason


def test_copies_leave_test_before_val_before_train(data):
    for number in (1, 8):  # train, val
        shutil.copy(data.image(10), data.image(number))
    data.write()
    validation = check(data)
    assert [row[0] for row in quarantine(validation)] == ["images/01.png", "images/08.png"]
    assert validation.by_split == {"train": 7, "val": 1, "test": 2}


def test_copies_within_one_split_stay(data):
    shutil.copy(data.image(0), data.image(1))
    data.write()
    assert check(data, ValidationConfig()).n_records == 12


def test_many_bad_rows_stop_the_run_and_the_files_remain(data):
    for number in range(5):
        data.image(number).unlink()
    data.write()
    message = r"captions\.jsonl: 5 of 12 rows fail \(41\.7%, at most 10\.0% may.*; and 2 more"
    with pytest.raises(ValidationFailed, match=message) as failure:
        check(data, ValidationConfig(max_quarantined_share=0.1))
    verdict = data.folder.parent / "verdict"
    assert str(verdict / "quarantine.csv") in str(failure.value)
    assert len((verdict / "quarantine.csv").read_text().splitlines()) == 6
    assert not json.loads((verdict / "results.json").read_text())["success"]
    assert "failed" in (verdict / "report.html").read_text()


@pytest.mark.parametrize("spoil", [spoil_line, spoil_truncated, spoil_copy])
def test_without_tolerance_one_bad_row_stops_the_run(data, spoil):
    _, line, reason = spoil(data)
    if not (data.folder / "captions.jsonl").exists():
        data.write()
    with pytest.raises(ValidationFailed, match=rf"1 of 1[23] rows fail .*line {line}: .*{reason}"):
        check(data, ValidationConfig(max_quarantined_share=0))


def test_an_empty_split_stops_the_run(data):
    data.rows = [row for row in data.rows if row["split"] != "val"]
    data.write()
    with pytest.raises(ValidationFailed, match=r'expected "There are rows of train, val, test"'):
        check(data)


def test_a_split_emptied_by_the_quarantine_stops_the_run(data):
    for number in (8, 9):
        data.image(number).unlink()
    data.write()
    with pytest.raises(ValidationFailed, match="no good row of split val is left"):
        check(data)


def test_a_missing_or_empty_captions_file_is_named(data):
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl does not exist, expected one"):
        check(data)
    (data.folder / "captions.jsonl").write_text("\n")
    with pytest.raises(ValidationFailed, match=r"captions\.jsonl has no records"):
        check(data)


def test_a_folder_of_broken_lines_alone_stops_the_run(data):
    (data.folder / "captions.jsonl").write_text("{\n{\n")
    with pytest.raises(ValidationFailed, match=r"2 of 2 rows fail .*line 1: broken JSON"):
        check(data)


def test_near_duplicates_are_not_looked_for_when_not_asked(data):
    spoil_near_copy(data)
    data.write()
    assert check(data, ValidationConfig(near_duplicates=False)).n_quarantined == 0


def test_without_pixels_no_image_is_opened(data):
    for number in range(12):
        data.image(number).unlink()
    data.rows[1]["captions"] = ["boat " * 61]
    data.write()
    validation = check(data, ValidationConfig(pixels=False, max_quarantined_share=0.5))
    assert quarantine(validation) == [
        ("images/01.png", 2, "a caption has 61 words, expected at most 60")
    ]
    assert "image_decodes" not in {verdict.name for verdict in validation.expectations}
    assert pd.read_parquet(validation.splits)["md5"].isna().all()


def test_captions_of_another_language_are_warned_of(data):
    for row in data.rows:
        row["captions"] = ["ein Boot", "das Meer"]
    data.write()
    said = []
    verdict = data.folder.parent / "verdict"
    verdict.mkdir()
    config = ValidationConfig()
    validation = validate(data.folder, config, verdict, lambda message, **_: said.append(message))
    assert validation.success
    assert any("expected 30% or more of the records have a common English" in line for line in said)
    assert "warns" in validation.report.read_text()


def test_what_has_moved_since_the_last_accepted_data_is_warned_of(data):
    data.write()
    first = check(data)
    verdicts = {verdict.name: verdict for verdict in again(data, first).expectations}
    assert verdicts["drift_longest_words"].success
    for row in data.rows:
        row["captions"] = ["a boat on the sea " * 5]
    data.write()
    moved = again(data, first)
    assert moved.success
    [words] = [v for v in moved.expectations if v.name == "drift_longest_words"]
    assert (words.success, words.is_warning) == (False, True)
    rows = {row["name"]: row for row in json.loads(moved.results.read_text())["expectations"]}
    assert rows["drift_longest_words"]["severity"] == "warning"


def again(data, accepted):
    destination = data.folder.parent / "again"
    destination.mkdir(exist_ok=True)
    return validate(data.folder, LENIENT, destination, silent, accepted.features)


def test_failing_images_are_kept_in_small_for_pages_elsewhere(data):
    spoil_aspect(data)
    data.image(3).unlink()
    data.write()
    validation = check(data)
    pictures = validation.report.parent / "failing"
    assert [path.name for path in pictures.iterdir()] == ["2.png"]
    with Image.open(pictures / "2.png") as small:
        assert small.size == (120, 12)
    data.image(1).unlink()
    check(data)
    assert not pictures.exists()
