"""What a failed import tells its user to type."""

import json

import pytest

from finecap.config import ImportConfig
from finecap.data.importers import KINDS, DatasetImportError
from finecap.data.importers.advice import other_kind, packed


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("train2017.zip", "unzip train2017.zip"),
        ("a b.tar.gz", "tar xzf 'a b.tar.gz'"),
        ("train.en.gz", "gunzip train.en.gz"),
    ],
)
def test_an_archive_is_to_be_unpacked_once(tmp_path, name, command):
    (tmp_path / name).write_bytes(b"")
    assert packed("coco", tmp_path).endswith(f"&& {command}`")
    assert packed("coco", tmp_path / name).endswith(f"&& {command}`")
    (tmp_path / name.partition(".")[0]).mkdir()
    (tmp_path / name.removesuffix(".gz")).write_bytes(b"")
    assert packed("coco", tmp_path) == ""


def test_of_many_archives_three_are_named(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.zip").write_bytes(b"")
    assert packed("coco", tmp_path).endswith("&& unzip 2.zip` (and 2 more)")


def test_a_pointer_in_the_place_of_a_file_is_told(tmp_path, bring):
    (tmp_path / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid ...")
    with pytest.raises(
        DatasetImportError, match=r"train\.parquet is a pointer of Git LFS.*lfs pull"
    ):
        bring("parquet", tmp_path)


def test_tars_are_packed_for_every_kind_but_their_own(tmp_path):
    (tmp_path / "0.tar").write_bytes(b"")
    assert "tar xf 0.tar" in packed("folder", tmp_path)
    assert packed("webdataset", tmp_path) == ""


def test_the_kind_that_finds_an_image_is_named(tmp_path, photos):
    photos(tmp_path, "1.png")
    (tmp_path / "a.json").write_text(json.dumps([{"image": "1.png", "caption": "a boat"}]))
    advice = other_kind("coco", tmp_path, ImportConfig(), KINDS)
    assert advice == f"It can be read as jsonl: `finecap import jsonl --source {tmp_path} ...`"
    assert other_kind("jsonl", tmp_path, ImportConfig(), KINDS) == ""


def test_a_source_that_does_not_exist_is_named(tmp_path, bring):
    with pytest.raises(FileNotFoundError, match=r"gone does not exist, expected the data set's"):
        bring("csv", tmp_path / "gone")


def test_an_unknown_kind_is_told_the_right_one(tmp_path, photos, bring):
    photos(tmp_path / "boats", "1.png")
    (tmp_path / "boats/1.txt").write_text("a boat")
    with pytest.raises(DatasetImportError, match=r"unknown kind .*It can be read as folder"):
        bring("auto", tmp_path / "boats")
