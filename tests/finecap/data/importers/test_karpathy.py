"""Karpathy's three files as they are published."""

import json

import pytest

from finecap.data.importers import DatasetImportError


def sentence(raw, imgid, sentid):
    tokens = raw.lower().strip(" .\n").split()
    return {"tokens": tokens, "raw": raw, "imgid": imgid, "sentid": sentid}


def image(imgid, split, filename, *raws, **more):
    sentences = [sentence(raw, imgid, 5 * imgid + n) for n, raw in enumerate(raws)]
    sentids = [s["sentid"] for s in sentences]
    return {
        "sentids": sentids,
        "imgid": imgid,
        "sentences": sentences,
        "split": split,
        "filename": filename,
        **more,
    }


@pytest.fixture
def coco(tmp_path, photos):
    """`dataset_coco.json` beside COCO's folders: train, restval, val and test."""
    folder = tmp_path / "coco"
    names = ["COCO_val2014_000000391895.jpg", "COCO_val2014_000000522418.jpg"]
    photos(folder / "val2014", *names, "COCO_val2014_000000184613.jpg")
    photos(folder / "train2014", "COCO_train2014_000000057870.jpg")
    images = [
        image(0, "test", names[0], "A man with a red helmet ", filepath="val2014", cocoid=391895),
        image(1, "restval", names[1], "A woman cutting cake.\n", filepath="val2014", cocoid=522418),
        image(2, "val", "COCO_val2014_000000184613.jpg", "A child", "Kids", filepath="val2014"),
        image(3, "train", "COCO_train2014_000000057870.jpg", "A diner", filepath="train2014"),
    ]
    write(folder / "dataset_coco.json", images, "coco")
    return folder


def write(path, images, name):
    path.write_text(json.dumps({"images": images, "dataset": name}))


def test_restval_is_trained_on_and_test_stays_test(coco, bring):
    brought = bring("karpathy", coco)
    assert [record.split for record in brought.records] == ["test", "train", "val", "train"]
    assert brought.records[1].captions == ("A woman cutting cake.",)
    assert brought.report.splits == "splits are the source's"


def test_photos_may_lie_elsewhere(coco, tmp_path, bring):
    alone = tmp_path / "splits" / "dataset_coco.json"
    alone.parent.mkdir()
    (coco / "dataset_coco.json").rename(alone)
    assert bring("karpathy", alone, images=str(coco)).report.images == 4


def test_flickr8k_has_no_folders_and_captions_with_a_dot_of_their_own(tmp_path, photos, bring):
    folder = tmp_path / "flickr8k"
    photos(folder / "Flicker8k_Dataset", "2513260012_03d33305cf.jpg")
    images = [image(0, "train", "2513260012_03d33305cf.jpg", "A black dog is running .")]
    write(folder / "dataset_flickr8k.json", images, "flickr8k")
    [record] = bring("karpathy", folder).records
    assert record.captions == ("A black dog is running .",)


def test_tokens_stand_in_where_nothing_else_is(coco, bring):
    path = coco / "dataset_coco.json"
    content = json.loads(path.read_text())
    del content["images"][0]["sentences"][0]["raw"]
    path.write_text(json.dumps(content))
    assert bring("karpathy", coco).records[0].captions == ("a man with a red helmet",)


def test_unknown_split_and_missing_photo_are_reported(coco, bring):
    path = coco / "dataset_coco.json"
    content = json.loads(path.read_text())
    content["images"][0]["split"] = "trainval"
    path.write_text(json.dumps(content))
    (coco / "train2014" / "COCO_train2014_000000057870.jpg").unlink()
    faults = bring("karpathy", coco, max_bad=0.5).faults
    assert [reason for *_, reason in faults] == [
        "unknown split 'trainval'",
        "no such photo in coco/",
    ]


def test_several_files_ask_which(coco, bring):
    (coco / "dataset_flickr8k.json").write_text("{}")
    with pytest.raises(DatasetImportError, match="name one file as the source"):
        bring("karpathy", coco)


def test_file_of_another_kind_is_refused(coco, bring):
    (coco / "dataset_coco.json").write_text('{"images": [{"id": 1}]}')
    with pytest.raises(DatasetImportError, match="as in Karpathy's splits"):
        bring("karpathy", coco)
    (coco / "dataset_coco.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no dataset_\*\.json"):
        bring("karpathy", coco)
