"""COCO's caption files as they are published, side by side with their other annotations."""

import json

import pytest

from finecap.data.importers import DatasetImportError
from finecap.data.importers.coco import split_of
from finecap.data.records import read_records

HEAD = {
    "info": {"description": "COCO 2014 Dataset", "year": 2014},
    "licenses": [{"id": 1, "name": "Attribution-NonCommercial-ShareAlike License"}],
}


def annotations(split, year, ids, captions, prefix="COCO_"):
    """A file as COCO has it: images and annotations in different orders."""
    name = f"{prefix}{split}{year}_{{:012}}.jpg" if prefix else "{:012}.jpg"
    images = [
        {
            "license": 5,
            "file_name": name.format(i),
            "coco_url": f"http://images.cocodataset.org/{split}{year}/{i:012}.jpg",
            "height": 40,
            "width": 40,
            "date_captured": "2013-11-14 16:28:13",
            "id": i,
        }
        for i in ids
    ]
    return {
        **HEAD,
        "images": images,
        "annotations": [
            {"image_id": i, "id": 1000 + n, "caption": caption}
            for n, (i, caption) in enumerate(captions)
        ],
    }


@pytest.fixture
def coco(tmp_path, photos):
    """COCO 2014: five photos of train, two of val, and annotations without captions."""
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    train, val = [9, 25, 30, 34, 36], [42, 73]
    photos(folder / "train2014", *(f"COCO_train2014_{i:012}.jpg" for i in train))
    photos(folder / "val2014", *(f"COCO_val2014_{i:012}.jpg" for i in val))
    said = [(i, f"A man on image {i}.\n") for i in reversed(train)] + [(9, " A second  one. ")]
    write(folder, "captions_train2014.json", annotations("train", 2014, train, said))
    said = [(i, f"A dog on image {i}") for i in val]
    write(folder, "captions_val2014.json", annotations("val", 2014, val, said))
    write(folder, "instances_val2014.json", {"images": [], "annotations": [{"segmentation": []}]})
    return folder


def write(folder, name, content):
    (folder / "annotations" / name).write_text(json.dumps(content))


def test_train_and_val_files_side_by_side_keep_their_splits(coco, bring):
    brought = bring("coco", coco)
    assert brought.report.by_split == {"train": 5, "val": 2}
    assert brought.captions["images/COCO_train2014_000000000009.jpg"] == (
        "A man on image 9.",
        "A second one.",
    )
    assert brought.splits["COCO_val2014_000000000073.jpg"] == "val"
    assert brought.faults == []
    assert "it has no test (`--splits fill` draws it)" in brought.report.splits


def test_missing_split_is_drawn_from_val_when_asked(coco, bring):
    brought = bring("coco", coco, splits="fill")
    assert brought.report.by_split == {"train": 5, "val": 1, "test": 1}
    assert "split test drawn, seed 0" in brought.report.splits


def test_one_file_is_a_source_with_photos_beside_its_folder(coco, bring):
    brought = bring("coco", coco / "annotations" / "captions_val2014.json")
    assert brought.report.by_split == {"val": 2}


def test_of_two_years_the_one_with_photos_is_taken(coco, bring):
    content = annotations("val", 2017, [42], [(42, "A dog")], prefix="")
    write(coco, "captions_val2017.json", content)
    assert bring("coco", coco).report.images == 7


def test_two_years_without_photos_of_one_are_refused(coco, tmp_path, bring):
    write(coco, "captions_val2017.json", annotations("val", 2017, [42], [(42, "A dog")], ""))
    (coco / "val2014").rename(coco / "val")
    (coco / "train2014").rename(coco / "train")
    with pytest.raises(DatasetImportError, match=r"several years: captions_train2014\.json"):
        bring("coco", coco)
    assert not (tmp_path / "data").exists()


def test_2017_has_the_same_names_in_both_folders_and_finds_each(tmp_path, photo, bring):
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    for seed, split in enumerate(("train", "val")):
        photo(folder / f"{split}2017" / "000000000009.jpg", seed)
        content = annotations(split, 2017, [9], [(9, f"A photo of {split}")], prefix="")
        write(folder, f"captions_{split}2017.json", content)
    brought = bring("coco", folder)
    assert [record.split for record in brought.records] == ["train", "val"]
    [(image, kind, reason)] = brought.faults
    assert (image, kind) == (brought.records[1].image, "note")
    assert "another image is called images/000000000009.jpg" in reason
    content = (brought.into / image).read_bytes()
    assert content == (folder / "val2017" / "000000000009.jpg").read_bytes()


def test_captions_without_words_and_of_unknown_images_are_reported(coco, bring):
    path = coco / "annotations" / "captions_val2014.json"
    content = json.loads(path.read_text())
    content["annotations"] += [
        {"image_id": 42, "id": 1, "caption": " .\n"},
        {"image_id": 7, "id": 2, "caption": "A cat"},
    ]
    path.write_text(json.dumps(content))
    brought = bring("coco", coco, max_bad=0.5)
    assert [reason for *_, reason in brought.faults] == [
        "annotation without words: ' .\\n'",
        "annotation of image 7, which the file does not list",
    ]


def test_images_without_photo_or_caption_are_reported(coco, bring):
    (coco / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    path = coco / "annotations" / "captions_val2014.json"
    content = json.loads(path.read_text())
    content["annotations"] = content["annotations"][:1]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetImportError, match="2 of 7 images or lines are bad"):
        bring("coco", coco)
    reasons = [reason for *_, reason in bring("coco", coco, max_bad=0.3).faults]
    assert reasons == ["no such photo in coco/", "no caption"]


def test_a_split_without_photos_is_told_beside_one_that_has_them(coco, bring):
    for photo in (coco / "train2014").iterdir():
        photo.unlink()
    said = r"captions_train2014\.json: none of its first 100 photos .*`--source .*captions_val2014"
    with pytest.raises(DatasetImportError, match=said):
        bring("coco", coco)
    assert bring("coco", coco / "annotations" / "captions_val2014.json").report.images == 2


def test_captions_that_vizwiz_rejected_are_left_out(tmp_path, photos, bring):
    folder = tmp_path / "vizwiz"
    photos(folder / "train", "VizWiz_train_00000000.jpg", "VizWiz_train_00000001.jpg")
    images = [{"file_name": f"VizWiz_train_0000000{i}.jpg", "id": i} for i in (0, 1)]
    flags = {"is_precanned": False, "is_rejected": False}
    said = [
        {"caption": "A box of tea.", "image_id": 0, "id": 0, "text_detected": True, **flags},
        {"caption": "Quality issues", "image_id": 0, "id": 1, **flags, "is_precanned": True},
        {"caption": "Quality issues", "image_id": 1, "id": 2, **flags, "is_rejected": True},
    ]
    (folder / "annotations").mkdir()
    write(folder, "train.json", {"images": images, "annotations": said})
    brought = bring("coco", folder)
    assert brought.captions == {"images/VizWiz_train_00000000.jpg": ("A box of tea.",)}
    assert [kind for _, kind, _ in brought.faults] == ["left out"]


def test_split_is_the_file_names(tmp_path):
    names = ["captions_train2014.json", "captions_minival.json", "captions.json", "dev.json"]
    assert [split_of(tmp_path / name) for name in names] == ["train", "val", None, "val"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', r"captions_val2014\.json line 1 column 13: not JSON"),
        ('{"images": []}', "no caption, expected"),
    ],
)
def test_broken_file_is_named(coco, bring, content, message):
    (coco / "annotations" / "captions_train2014.json").unlink()
    (coco / "annotations" / "captions_val2014.json").write_text(content)
    with pytest.raises(DatasetImportError, match=message):
        bring("coco", coco)


def test_folder_without_captions_is_named(tmp_path, bring):
    (tmp_path / "coco").mkdir()
    with pytest.raises(FileNotFoundError, match=r"annotations has no captions_\*\.json"):
        bring("coco", tmp_path / "coco")


def test_records_are_read_again(coco, bring):
    brought = bring("coco", coco)
    assert read_records(brought.into / "captions.jsonl") == brought.records
