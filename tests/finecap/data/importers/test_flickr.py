"""Flickr8k as handed out becomes records and images; what is broken is reported."""

import csv
import errno
from unittest.mock import Mock

import pytest
from PIL import Image

from finecap.data.importers import KINDS, DatasetImportError, import_dataset
from finecap.data.importers.flickr import import_flickr8k
from finecap.data.records import read_records
from finecap.log import silent

CAPTIONS = [
    "dog.jpg#0\tA brown dog  runs .",
    "dog.jpg#1\tThe dog runs fast",
    "cat.jpg#0\tA cat sits .",
    "boat.jpg#0\tA boat on the sea .",
    "2258277193_586949ec62.jpg.1#0\tA man in a race .",
    "alone.jpg#0\tIn no split .",
]


@pytest.fixture
def source(tmp_path):
    """Three photos in three splits, one in no split, one caption file line without a photo."""
    folder = tmp_path / "flickr"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(["dog", "cat", "boat", "alone"]):
        Image.new("RGB", (40, 40), (60 * number, 0, 0)).save(folder / "images" / f"{name}.jpg")
    (folder / "Flickr8k.token.txt").write_text("\n".join(CAPTIONS) + "\n")
    for split, name in {"train": "dog", "dev": "cat", "test": "boat"}.items():
        (folder / f"Flickr_8k.{split}Images.txt").write_text(f"{name}.jpg\r\n")
    return folder


def problems(into):
    with (into / "import-report.csv").open(newline="") as file:
        return {row["image"]: row["reason"] for row in csv.DictReader(file)}


def snapshot(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_records_and_images_are_written(source, tmp_path):
    into = tmp_path / "data"
    report = import_flickr8k(source, into, silent)
    records = read_records(into / "captions.jsonl")
    assert [(r.image, r.split) for r in records] == [
        ("images/dog.jpg", "train"),
        ("images/cat.jpg", "val"),
        ("images/boat.jpg", "test"),
    ]
    assert records[0].captions == ("A brown dog runs .", "The dog runs fast")
    assert all((into / record.image).is_file() for record in records)
    assert (report.images, report.captions, report.unchanged) == (3, 4, False)
    assert report.by_split == {"train": 1, "val": 1, "test": 1}
    assert not (tmp_path / "data.partial").exists()


def test_captions_without_photo_or_split_are_reported(source, tmp_path):
    report = import_flickr8k(source, tmp_path / "data", silent)
    reasons = problems(tmp_path / "data")
    assert report.problems == 2
    assert "no such photo in images/" in reasons["2258277193_586949ec62.jpg.1"]
    assert reasons["alone.jpg"] == "Flickr8k.token.txt: in no split"


def test_the_same_import_again_changes_nothing(source, tmp_path):
    into = tmp_path / "data"
    first = import_flickr8k(source, into, silent)
    before = snapshot(into)
    again = import_flickr8k(source, into, silent)
    assert again.unchanged
    assert snapshot(into) == before
    assert (again.images, again.captions, again.by_split) == (3, 4, first.by_split)


def test_a_changed_source_replaces_the_earlier_import(source, tmp_path):
    into = tmp_path / "data"
    import_flickr8k(source, into, silent)
    with (source / "Flickr8k.token.txt").open("a") as file:
        file.write("cat.jpg#1\tA sleepy cat .\n")
    report = import_flickr8k(source, into, silent)
    assert (report.captions, report.unchanged) == (5, False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "flickr"]


@pytest.mark.parametrize("lost", ["images/cat.jpg", "captions.jsonl"])
def test_an_import_that_lost_a_file_is_made_whole(source, tmp_path, lost):
    into = tmp_path / "data"
    import_flickr8k(source, into, silent)
    (into / lost).unlink()
    assert not import_flickr8k(source, into, silent).unchanged
    assert (into / lost).is_file()


def test_images_are_linked_and_copied_where_links_fail(source, tmp_path, monkeypatch):
    import_flickr8k(source, tmp_path / "linked", silent)
    assert (tmp_path / "linked/images/dog.jpg").samefile(source / "images/dog.jpg")

    other_disk = OSError(errno.EXDEV, "Invalid cross-device link")
    monkeypatch.setattr("pathlib.Path.hardlink_to", Mock(side_effect=other_disk))
    import_flickr8k(source, tmp_path / "copied", silent)
    copy = tmp_path / "copied/images/dog.jpg"
    assert not copy.samefile(source / "images/dog.jpg")
    assert copy.read_bytes() == (source / "images/dog.jpg").read_bytes()


def test_a_full_disk_leaves_the_earlier_import(source, tmp_path, monkeypatch):
    into = tmp_path / "data"
    import_flickr8k(source, into, silent)
    before = snapshot(into)
    (source / "Flickr_8k.devImages.txt").write_text("cat.jpg\nalone.jpg\n")

    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("pathlib.Path.hardlink_to", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left"):
        import_flickr8k(source, into, silent)
    assert snapshot(into) == before
    monkeypatch.undo()
    assert import_flickr8k(source, into, silent).images == 4


def test_a_folder_with_other_content_is_refused(source, tmp_path):
    into = tmp_path / "data"
    into.mkdir()
    (into / "captions.jsonl").write_text("mine\n")
    with pytest.raises(DatasetImportError, match="not empty and holds no earlier import of flickr"):
        import_flickr8k(source, into, silent)
    assert (into / "captions.jsonl").read_text() == "mine\n"


def test_a_partial_folder_that_is_no_import_is_refused(source, tmp_path):
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetImportError, match=r"data\.partial is in the way"):
        import_flickr8k(source, tmp_path / "data", silent)


def test_an_empty_folder_and_a_broken_off_import_are_taken(source, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data.partial" / "images").mkdir(parents=True)
    assert import_flickr8k(source, tmp_path / "data", silent).images == 3


def test_a_file_in_the_way_is_refused(source, tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(DatasetImportError, match="is a file, expected a folder"):
        import_flickr8k(source, tmp_path / "data", silent)


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "Flickr_8k.devImages.txt"])
def test_a_missing_source_file_is_named(source, tmp_path, name):
    (source / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} does not exist, expected Flickr8k"):
        import_flickr8k(source, tmp_path / "data", silent)


def test_a_source_without_photos_is_named(source, tmp_path):
    for photo in (source / "images").iterdir():
        photo.unlink()
    with pytest.raises(DatasetImportError, match="no image with captions and a split"):
        import_flickr8k(source, tmp_path / "data", silent)
    (source / "images").rmdir()
    with pytest.raises(FileNotFoundError, match="images does not exist, expected the photos"):
        import_flickr8k(source, tmp_path / "data", silent)


def test_broken_lines_are_reported_by_number(source, tmp_path):
    with (source / "Flickr8k.token.txt").open("a") as file:
        file.write("cat.jpg A cat without a number\ncat.jpg#1\t \n")
    import_flickr8k(source, tmp_path / "data", silent)
    with (tmp_path / "data" / "import-report.csv").open(newline="") as file:
        rows = {row["line"]: row["reason"] for row in csv.DictReader(file)}
    assert "expected IMAGE#NUMBER<TAB>caption, came 'cat.jpg A cat" in rows["7"]
    assert rows["8"].endswith("expected IMAGE#NUMBER<TAB>caption, came 'cat.jpg#1'")


def test_text_that_is_not_utf8_is_named(source, tmp_path):
    (source / "Flickr8k.token.txt").write_bytes(b"dog.jpg#0\tA caf\xe9 dog\n")
    with pytest.raises(DatasetImportError, match=r"token\.txt line 1: byte 16 is not UTF-8"):
        import_flickr8k(source, tmp_path / "data", silent)


def test_a_photo_in_two_splits_stays_in_test(source, tmp_path):
    (source / "Flickr_8k.trainImages.txt").write_text("dog.jpg\nboat.jpg\nmissing.jpg\n")
    import_flickr8k(source, tmp_path / "data", silent)
    reasons = problems(tmp_path / "data")
    assert reasons["boat.jpg"] == "Flickr_8k.trainImages.txt: already in test, kept there alone"
    assert reasons["missing.jpg"] == "Flickr_8k.trainImages.txt: no such photo in images/"
    splits = [record.split for record in read_records(tmp_path / "data" / "captions.jsonl")]
    assert splits == ["train", "val", "test"]


def test_the_kind_is_known_by_name(source, tmp_path):
    assert "flickr8k" in KINDS
    assert import_dataset("flickr8k", source, tmp_path / "data", silent).images == 3
    with pytest.raises(DatasetImportError, match="unknown kind of data set 'coco', expected one"):
        import_dataset("coco", source, tmp_path / "data", silent)
