"""Photos are found by the names annotations have, and never taken for another."""

import pytest

from finecap.data.importers import DatasetImportError
from finecap.data.importers.entry import Fault
from finecap.data.importers.photos import Photos


@pytest.fixture
def folder(tmp_path):
    for name in ("train/1.jpg", "val/1.jpg", "val/2.JPG", ".hidden/3.jpg", "val/notes.txt"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(b"x")
    return tmp_path / "root"


def found(folder, name, hint=""):
    path = Photos(folder).find(name, hint)
    return None if path is None else path.relative_to(folder).as_posix()


def test_names_are_found_wherever_the_photo_lies(folder):
    assert list(Photos(folder)) == ["train/1.jpg", "val/1.jpg", "val/2.JPG"]
    assert found(folder, "2.JPG") == "val/2.JPG"
    assert found(folder, "2") == "val/2.JPG"
    assert found(folder, "root/val/2.JPG") == "val/2.JPG"
    assert found(folder, "1.jpg", "val") == "val/1.jpg"
    assert found(folder, "train\\1.jpg") == "train/1.jpg"


@pytest.mark.parametrize(
    "name", ["3.jpg", "2.png", "test/2.JPG", "/2.JPG", "/test/2.JPG", "notes.txt"]
)
def test_another_photo_does_not_stand_in(folder, name):
    assert found(folder, name) is None


def test_names_of_another_machine_are_understood(folder):
    assert found(folder, "2.jpeg") == found(folder, "2.jpg") == "val/2.JPG"
    assert found(folder, "/home/me/photos/val/1.jpg") == "val/1.jpg"
    assert found(folder, r"C:\me\val\1.jpg") == "val/1.jpg"
    assert found(folder, "me/val/1.jpg") == "val/1.jpg"
    (folder / "e\u0301.jpg").write_bytes(b"x")
    assert found(folder, "\u00e9.jpg") == "e\u0301.jpg"


def test_photos_of_coco_are_known_by_their_number(folder):
    for name in ("COCO_val2014_000000000042.jpg", "000000107339.jpg", "x0000001.jpg"):
        (folder / name).write_bytes(b"x")
    assert found(folder, "42") == "COCO_val2014_000000000042.jpg"
    assert found(folder, "107339") == "000000107339.jpg"
    assert found(folder, "1000") is None


def test_a_photo_in_another_folder_is_named_with_what_mends_it(folder):
    assert found(folder, "VAL/1.jpg") == "val/1.jpg"
    assert found(folder, "2.JPG#3") == "val/2.JPG"
    fault = Photos(folder).entry("images/2.JPG", ("a",), file="t", line=1)
    assert isinstance(fault, Fault)
    assert fault.reason == (
        "no such photo in root/, only 'val/2.JPG' ('ln -s val images' there mends it)"
    )
    (folder / "images").symlink_to("val")
    assert found(folder, "images/2.JPG") == "images/2.JPG"


def test_copies_of_one_photo_are_one(folder):
    assert found(folder, "1.jpg") == "train/1.jpg"


def test_several_photos_of_a_name_ask_which(folder):
    (folder / "val/1.jpg").write_bytes(b"y")
    with pytest.raises(DatasetImportError, match=r"2 photos are called 1\.jpg: train/1\.jpg, val"):
        Photos(folder).find("1.jpg")


def test_digest_sees_a_photo_of_another_size(folder):
    before = Photos(folder).digest
    assert Photos(folder).digest == before
    (folder / "val/1.jpg").write_bytes(b"longer")
    assert Photos(folder).digest != before


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist, expected the photos there"):
        Photos(tmp_path / "none")
