"""A text file beside each image."""

import pytest


@pytest.fixture
def source(tmp_path, photos):
    folder = tmp_path / "boats"
    photos(folder, *(f"{n:02}.JPG" for n in range(12)))
    for n in range(12):
        (folder / f"{n:02}.txt").write_text(f"a boat, number {n}\n\nthe sea\n")
    return folder


def test_each_line_is_a_caption_and_splits_are_drawn(source, bring):
    brought = bring("folder", source)
    assert brought.captions["images/03.JPG"] == ("a boat, number 3", "the sea")
    assert set(brought.splits.values()) == {"train", "val", "test"}


def test_folders_say_the_split_and_stay_in_the_name(tmp_path, photos, bring):
    for seed, split in enumerate(["train", "dev", "test"]):
        photos(tmp_path / "boats" / split, *(["x.jpg", "y.jpg", "1.jpg"][: seed + 1]))
        for name in ("x", "y", "1")[: seed + 1]:
            (tmp_path / "boats" / split / f"{name}.caption").write_text("a boat")
    brought = bring("folder", tmp_path / "boats")
    assert brought.report.by_split == {"train": 1, "val": 2, "test": 3}
    assert "images/dev/y.jpg" in brought.captions


def test_image_without_text_and_text_without_image_are_reported(source, bring):
    (source / "03.txt").rename(source / "other.txt")
    (source / "README.txt").write_text("About these boats")
    faults = {
        kind: (image, reason) for image, kind, reason in bring("folder", source, max_bad=0.5).faults
    }
    assert faults["left out"] == ("", "a text file without an image")
    assert len(bring("folder", source, max_bad=0.5).faults) == 3


def test_text_that_is_not_utf8_is_reported(source, bring):
    (source / "03.txt").write_bytes(b"a caf\xe9")
    assert bring("folder", source, max_bad=0.1).faults == [("03.JPG", "bad", "byte 6 is not UTF-8")]


def test_folder_without_images_is_named(tmp_path, bring):
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="none has no images"):
        bring("folder", tmp_path / "none")
