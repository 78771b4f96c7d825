"""Flickr8k and Flickr30k as handed out become records and images; what is broken is reported."""

import csv

import pytest

from finecap.data.importers import DatasetImportError

CAPTIONS = [
    "dog.jpg#0\tA brown dog  runs .",
    "dog.jpg#1\tThe dog runs fast",
    "cat.jpg#0\tA cat sits .",
    "boat.jpg#0\tA boat on the sea .",
    "2258277193_586949ec62.jpg.1#0\tA man in a race .",
    "alone.jpg#0\tIn no split .",
]
BARS = """\
image_name| comment_number| comment
dog.jpg| 0| Two young guys with shaggy hair look at their hands .
dog.jpg| 1| "Two young , White males are outside near many bushes ."
cat.jpg| 0| Several men in hard hats | are operating a giant pulley system .
boat.jpg| 4   A dog runs across the grass .
"""


@pytest.fixture
def source(tmp_path, photos):
    """Three photos in three splits, one in no split, one caption file line without a photo."""
    folder = tmp_path / "flickr"
    photos(folder / "Flicker8k_Dataset", "dog.jpg", "cat.jpg", "boat.jpg", "alone.jpg")
    photos(folder / "__MACOSX", "dog.jpg")
    (folder / "Flickr8k.token.txt").write_text("\n".join(CAPTIONS) + "\n")
    for split, name in {"train": "dog", "dev": "cat", "test": "boat"}.items():
        (folder / f"Flickr_8k.{split}Images.txt").write_text(f"{name}.jpg\r\n")
    return folder


@pytest.fixture
def flickr30k(tmp_path, photos):
    folder = tmp_path / "flickr30k"
    photos(folder / "flickr30k_images", "dog.jpg", "cat.jpg", "boat.jpg")
    return folder


def reasons(brought):
    return {image: reason for image, _, reason in brought.faults}


def test_records_and_images_are_written(source, bring):
    brought = bring("flickr8k", source)
    assert [(r.image, r.split) for r in brought.records] == [
        ("images/dog.jpg", "train"),
        ("images/cat.jpg", "val"),
        ("images/boat.jpg", "test"),
    ]
    assert brought.records[0].captions == ("A brown dog runs .", "The dog runs fast")
    assert all((brought.into / record.image).is_file() for record in brought.records)
    assert (brought.report.images, brought.report.captions) == (3, 4)


def test_photos_in_no_split_are_left_out_as_the_source_has_it(source, bring):
    brought = bring("flickr8k", source, max_bad=0)
    assert (brought.report.problems, brought.report.bad) == (2, 0)
    assert reasons(brought) == {
        "2258277193_586949ec62.jpg.1": "no such photo, and in no split",
        "alone.jpg": "in no split",
    }


def test_without_split_files_splits_are_drawn(source, bring):
    for path in source.glob("*Images.txt"):
        path.unlink()
    brought = bring("flickr8k", source, max_bad=0.3)
    assert brought.report.images == 4
    assert "the source has none" in brought.report.splits


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "Flickr_8k.devImages.txt"])
def test_a_missing_source_file_is_named(source, bring, name):
    (source / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} does not exist, expected Flickr"):
        bring("flickr8k", source)


def test_a_source_without_photos_is_named(source, bring):
    for photo in (source / "Flicker8k_Dataset").iterdir():
        photo.unlink()
    with pytest.raises(FileNotFoundError, match="flickr has no photos, expected them there"):
        bring("flickr8k", source)


def test_broken_lines_are_reported_by_number(source, bring):
    with (source / "Flickr8k.token.txt").open("a") as file:
        file.write("cat.jpg A cat without a number\ncat.jpg#1\t \n")
    brought = bring("flickr8k", source, max_bad=0.5)
    with (brought.into / "import-report.csv").open(newline="") as file:
        rows = {row["line"]: row["reason"] for row in csv.DictReader(file)}
    assert "expected IMAGE#NUMBER<TAB>caption, came 'cat.jpg A cat" in rows["7"]
    assert rows["8"].endswith("expected IMAGE#NUMBER<TAB>caption, came 'cat.jpg#1'")


def test_text_that_is_not_utf8_is_named(source, bring):
    (source / "Flickr8k.token.txt").write_bytes(b"dog.jpg#0\tA caf\xe9 dog\n")
    with pytest.raises(DatasetImportError, match=r"token\.txt line 1: byte 16 is not UTF-8"):
        bring("flickr8k", source)


def test_a_photo_in_two_splits_stays_in_test(source, bring):
    (source / "Flickr_8k.trainImages.txt").write_text("dog.jpg\nboat.jpg\nmissing.jpg\n")
    brought = bring("flickr8k", source, max_bad=0.5)
    assert reasons(brought)["boat.jpg"] == "already in test, kept there alone"
    assert reasons(brought)["missing.jpg"] == "no caption in Flickr8k.token.txt"
    assert brought.splits == {"dog.jpg": "train", "cat.jpg": "val", "boat.jpg": "test"}


def test_the_table_of_flickr8k_has_commas_quoted_and_not(source, bring):
    for path in source.glob("*.txt"):
        path.unlink()
    (source / "captions.txt").write_text(
        "image,caption\n"
        "dog.jpg,A child in a pink dress .\n"
        'cat.jpg,"A black dog , and a cat ."\n'
        'boat.jpg,"""Stop"" says the sign ."\n'
        "alone.jpg,one, two , three\n"
        "alone.jpg\n"
    )
    brought = bring("flickr8k", source, max_bad=0.3)
    assert [said for record in brought.records for said in record.captions] == [
        "A child in a pink dress .",
        "A black dog , and a cat .",
        '"Stop" says the sign .',
        "one, two , three",
    ]
    assert reasons(brought) == {"alone.jpg": "1 cells, expected 2: 'alone.jpg'"}


def test_the_line_without_its_second_bar_is_mended_and_reported(flickr30k, bring):
    (flickr30k / "results.csv").write_text(BARS)
    brought = bring("flickr30k", flickr30k)
    assert brought.captions["images/boat.jpg"] == ("A dog runs across the grass .",)
    assert brought.captions["images/cat.jpg"][0].startswith("Several men in hard hats | are")
    assert len(brought.captions["images/dog.jpg"]) == 2
    assert [(image, kind) for image, kind, _ in brought.faults] == [("boat.jpg", "note")]


def test_tokens_of_flickr30k_with_splits_of_the_entities(flickr30k, bring):
    lines = [f"{name}.jpg#{n}\tA {name} ." for name in ("dog", "cat", "boat") for n in range(5)]
    (flickr30k / "results_20130124.token").write_text("\n".join(lines))
    for split, name in {"train": "dog", "val": "cat", "test": "boat"}.items():
        (flickr30k / f"{split}.txt").write_text(f"{name}\n")
    brought = bring("flickr30k", flickr30k)
    assert brought.splits == {"dog.jpg": "train", "cat.jpg": "val", "boat.jpg": "test"}
    assert brought.report.captions == 15


def test_a_line_that_is_no_row_of_the_table_is_reported(flickr30k, bring):
    (flickr30k / "results.csv").write_text(BARS + "nothing here\ndog.jpg| what\n")
    brought = bring("flickr30k", flickr30k, max_bad=0.5)
    assert [reason for _, kind, reason in brought.faults if kind == "bad"] == [
        "expected IMAGE| NUMBER| caption, came 'nothing here'",
        "expected IMAGE| NUMBER| caption, came 'dog.jpg| what'",
    ]


def test_the_caption_file_itself_is_a_source(source, bring):
    assert bring("flickr8k", source / "Flickr8k.token.txt").report.images == 3
