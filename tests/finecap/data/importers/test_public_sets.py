"""Public sets as they come: a few rows of each in the layout, and with the quirks, it really has.

Each is a folder as a stranger has it after unpacking the downloads, and the command he would type;
what comes in, or what he is told, is stated beside it. Photos are small, and of their own look.
"""

import csv
import gzip
import io
import json
import tarfile
import unicodedata
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finecap.data.importers import DatasetImportError
from finecap.data.importers.entry import tidy
from tests.finecap.data.importers.conftest import picture


@dataclass
class Set:
    """What to type, and what comes of it."""

    kind: str
    source: str = ""  # below the folder
    settings: dict = field(default_factory=dict)
    captions: dict = field(default_factory=dict)  # by image, without "images/"
    splits: dict | None = None  # sizes; None: drawn
    faults: list = field(default_factory=list)  # (kind, words of the reason)
    said: str = ""  # by the error


def a_json(path, content, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, **how), encoding="utf-8")


def lines(path, *rows, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + end for row in rows), encoding="utf-8", newline="")


def encoded(seed, form="JPEG", mode="RGB"):
    """A picture's file; the same seed shows the same."""
    file = io.BytesIO()
    shown = picture(seed)
    if mode == "I;16":
        shown = Image.fromarray(np.asarray(shown.convert("L"), dtype=np.uint16) << 8)
    (shown if mode == "I;16" else shown.convert(mode)).save(file, form)
    return file.getvalue()


def coco_like(ids, name, captions, **flags):
    return {
        "info": {"description": "as it came", "version": "1.0"},
        "licenses": [],
        "images": [{"id": i, "file_name": name.format(i), "height": 40, "width": 40} for i in ids],
        "annotations": [
            {"image_id": i, "id": n, "caption": caption, **flags}
            for n, (i, caption) in enumerate(captions)
        ],
    }


def coco_2017_in_folders_named_after_the_archives(folder, photos):
    ids = (139, 285)
    for split, i in zip(("train", "val"), ids, strict=True):
        photos(folder / f"{split}2017", f"{i:012}.jpg")
        said = [(i, "A bear standing on the grass. "), (i, "Bear\n")]
        content = coco_like([i], "{:012}.jpg", said)
        a_json(folder / f"annotations_trainval2017/annotations/captions_{split}2017.json", content)
    a_json(folder / "annotations_trainval2017/annotations/instances_val2017.json", {"images": []})
    both = ("A bear standing on the grass.", "Bear")
    return Set(
        "coco",
        captions={f"{i:012}.jpg": both for i in ids},
        splits={"train": 1, "val": 1},
    )


def coco_named_by_its_annotations(folder, photos):
    photos(folder / "val2014", "COCO_val2014_000000000042.jpg")
    content = coco_like([42], "COCO_val2014_{:012}.jpg", [(42.0, "a dog"), (42.0, ["a", " . "])])
    a_json(folder / "annotations/captions_val2014.json", content)
    (folder / "annotations/image_info_test2014.json").write_text('{"images": [{"id": 1}]}')
    return Set(
        "coco",
        "annotations",
        captions={"COCO_val2014_000000000042.jpg": ("a dog", "a")},
        splits={"val": 1},
    )


def stair_has_its_captions_twice(folder, photos):
    photos(folder / "train2014", "COCO_train2014_000000000009.jpg")
    content = coco_like([9], "COCO_train2014_{:012}.jpg", [(9, "木製のテーブルに料理がある")])
    a_json(folder / "stair_captions_v1.2_train.json", content, ensure_ascii=False)
    content["annotations"][0]["tokenized_caption"] = "木製 の テーブル に 料理 が ある"
    a_json(folder / "stair_captions_v1.2_train_tokenized.json", content, ensure_ascii=False)
    return Set(
        "coco",
        captions={"COCO_train2014_000000000009.jpg": ("木製のテーブルに料理がある",)},
        splits={"train": 1},
    )


def nocaps(folder, photos):
    name = "0013ea2087020901"
    photos(folder / "val", f"{name}.jpg")
    content = coco_like([0], name + ".jpg", [(0, "A baby is standing."), (0, "A baby in a suit.")])
    content["images"][0] |= {"open_images_id": name, "domain": "in-domain"}
    a_json(folder / "nocaps_val_4500_captions.json", content)
    a_json(folder / "nocaps_test_image_info.json", {"images": [{"id": 0, "file_name": "x.jpg"}]})
    said = ("A baby is standing.", "A baby in a suit.")
    return Set("coco", captions={f"{name}.jpg": said}, splits={"val": 1})


def vizwiz(folder, photos):
    for split in ("train", "val", "test"):
        photos(folder / split, f"VizWiz_{split}_00000000.jpg")
        said = [] if split == "test" else [(0, "Its is a basil leaves container.\n")]
        flags = {"is_precanned": False, "is_rejected": False, "text_detected": True}
        content = coco_like([0], f"VizWiz_{split}_{{:08}}.jpg", said, **flags)
        if split == "test":
            del content["annotations"]
        a_json(folder / f"annotations/{split}.json", content)
    return Set(
        "coco",
        captions={
            f"VizWiz_{split}_00000000.jpg": ("Its is a basil leaves container.",)
            for split in ("train", "val")
        },
        splits={"train": 1, "val": 1},
    )


def karpathys_file_taken_for_cocos(folder, photos):
    photos(folder / "val2014", "COCO_val2014_000000391895.jpg")
    row = {"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "split": "restval"}
    row["sentences"] = [{"tokens": ["a", "man"], "raw": "A man.", "imgid": 0, "sentid": 770337}]
    a_json(folder / "dataset_coco.json", {"images": [row], "dataset": "coco"})
    return Set("coco", said="can be read as karpathy: `finecap import karpathy --source")


def karpathys_archive_has_three(folder, photos):
    photos(folder / "flickr30k-images", "1000092795.jpg")
    row = {
        "filename": "1000092795.jpg",
        "split": "train",
        "sentences": [{"raw": "Two young guys ."}],
    }
    for name in ("coco", "flickr8k", "flickr30k"):
        a_json(folder / f"caption_datasets/dataset_{name}.json", {"images": [row], "dataset": name})
    return Set(
        "karpathy",
        "caption_datasets/dataset_flickr30k.json",
        {"images": "flickr30k-images"},
        {"1000092795.jpg": ("Two young guys .",)},
        {"train": 1},
    )


def remote_sensing_in_tiff(folder, _photos):
    (folder / "imgs").mkdir(parents=True)
    (folder / "imgs/1.tif").write_bytes(encoded(1, "TIFF"))
    sentence = {"tokens": ["a", "field"], "raw": "There is a field .", "imgid": 0, "sentid": 0}
    row = {"filename": "1.tif", "imgid": 0, "sentences": [sentence] * 2, "split": "train"}
    a_json(folder / "dataset.json", {"images": [row], "dataset": "UCM"})
    return Set("karpathy", captions={"1.tif": ("There is a field .",) * 2}, splits={"train": 1})


def flickr8k_two_folders_down_with_windows_line_ends(folder, photos):
    photos(folder / "Flickr8k_Dataset/Flicker8k_Dataset", "a1.jpg", "b2.jpg", "c3.jpg")
    text = folder / "Flickr8k_text/Flickr8k_text"
    said = [f"{name}.jpg#{n}\tA dog runs ." for name in ("a1", "b2", "c3") for n in range(2)]
    said.append("2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway")
    lines(text / "Flickr8k.token.txt", *said, end="\r\n")
    for split, name in {"train": "a1", "dev": "b2", "test": "c3"}.items():
        lines(text / f"Flickr_8k.{split}Images.txt", f"{name}.jpg", end="\r\n")
    return Set(
        "flickr8k",
        captions={f"{name}.jpg": ("A dog runs .",) * 2 for name in ("a1", "b2", "c3")},
        splits={"train": 1, "val": 1, "test": 1},
        faults=[("left out", "no such photo, and in no split")],
    )


def kaggles_flickr8k_taken_for_a_table(folder, photos):
    photos(folder / "Images", "1000268201_693b08cb0e.jpg")
    lines(folder / "captions.txt", "image,caption", "1000268201_693b08cb0e.jpg,A child .")
    return Set("csv", said="can be read as flickr8k: `finecap import flickr8k --source")


def kaggles_flickr30k_with_its_broken_row_and_a_folder_twice(folder, photos):
    names = ("1000092795.jpg", "2199200615.jpg")
    photos(folder / "flickr30k_images/flickr30k_images", *names)
    inner = folder / "flickr30k_images/flickr30k_images/flickr30k_images"
    inner.mkdir()
    for name in names:
        (inner / name).write_bytes((inner.parent / name).read_bytes())
    lines(
        folder / "flickr30k_images/results.csv",
        "image_name| comment_number| comment",
        '1000092795.jpg| 0| Two "young" guys , with shaggy hair | look .',
        "2199200615.jpg| 3| A dog runs .",
        "2199200615.jpg| 4   A dog runs across the grass .",
    )
    return Set(
        "flickr30k",
        captions={
            "1000092795.jpg": ('Two "young" guys , with shaggy hair | look .',),
            "2199200615.jpg": ("A dog runs .", "A dog runs across the grass ."),
        },
        faults=[("note", "no bar between number and caption")],
    )


def flickr30k_of_the_hub_has_lists_in_cells(folder, photos):
    photos(folder / "flickr30k-images", "1000092795.jpg", "10002456.jpg")
    (folder / "flickr_annotations_30k.csv").write_text(
        "raw,sentids,split,filename,img_id\n"
        '"[""Two young guys with shaggy hair ."", ""Two \'young\' men ."" ]","[0, 1]",train,'
        "1000092795.jpg,0\n"
        '"[""Several men in hard hats .""]","[5]",test,10002456.jpg,1\n'
    )
    return Set(
        "csv",
        captions={
            "flickr30k-images/1000092795.jpg": (
                "Two young guys with shaggy hair .",
                "Two 'young' men .",
            ),
            "flickr30k-images/10002456.jpg": ("Several men in hard hats .",),
        },
        splits={"train": 1, "test": 1},
    )


def textcaps(folder, photos):
    for split, name in (("train", "f441f29812b385ad"), ("val", "0054c91397f2fe05")):
        photos(folder / "train_images", f"{name}.jpg")
        refs = ["A bottle of wine.", "Wine labelled 2014."]
        rows = [
            {
                "question_id": n, "image_id": name, "image_name": name,
                "image_path": f"{split}/{name}.jpg", "set_name": split, "image_width": 1024,
                "flickr_300k_url": "https://farm4.staticflickr.com/x_z.jpg",
                "caption_id": n, "caption_str": said, "reference_strs": refs,
            }
            for n, said in enumerate(refs)
        ]  # fmt: skip
        content = {"dataset_type": split, "dataset_name": "textcaps", "data": rows}
        a_json(folder / f"TextCaps_0.1_{split}.json", content)
    bare = {"image_id": "1", "image_path": "test/1.jpg", "set_name": "test"}
    a_json(folder / "TextCaps_0.1_test.json", {"dataset_name": "textcaps", "data": [bare]})
    said = ("A bottle of wine.", "Wine labelled 2014.")
    return Set(
        "jsonl",
        captions={
            f"train_images/{name}.jpg": said for name in ("0054c91397f2fe05", "f441f29812b385ad")
        },
        splits={"train": 1, "val": 1},
    )


def visual_genome(folder, photos):
    photos(folder / "VG_100K_2", "1.jpg")
    photos(folder / "VG_100K", "2315353.jpg")
    rows = [
        {
            "id": i,
            "regions": [
                {"region_id": 1382, "width": 82, "image_id": i, "phrase": phrase, "x": 421}
                for phrase in ("the clock is green", "trees line the street")
            ],
        }
        for i in (1, 2315353)
    ]
    a_json(folder / "region_descriptions.json", rows)
    said = ("the clock is green", "trees line the street")
    return Set("jsonl", captions={"VG_100K_2/1.jpg": said, "VG_100K/2315353.jpg": said})


def docci_has_splits_of_its_own(folder, photos):
    photos(folder / "images", "train_00000.jpg", "qual_dev_00000.jpg")
    lines(
        folder / "docci_descriptions.jsonlines",
        *(
            json.dumps(
                {
                    "split": split,
                    "image_file": f"{split}_00000.jpg",
                    "description": "An indoor angled down medium close-up.",
                    "example_id": f"{split}_00000",
                }
            )
            for split in ("train", "qual_dev")
        ),
    )
    return Set(
        "jsonl",
        settings={"max_bad": 0.5},
        captions={"train_00000.jpg": ("An indoor angled down medium close-up.",)},
        splits={"train": 1},
        faults=[("bad", "unknown split 'qual_dev'")],
    )


def blips_karpathy_lists(folder, photos):
    photos(folder / "val2014", "COCO_val2014_000000391895.jpg", "COCO_val2014_000000184613.jpg")
    a_json(
        folder / "coco_karpathy_train.json",
        [
            {
                "image": "val2014/COCO_val2014_000000391895.jpg",
                "caption": said,
                "image_id": "coco_1",
            }
            for said in ("A man", "A biker")
        ],
    )
    image = "val2014/COCO_val2014_000000184613.jpg"
    a_json(folder / "coco_karpathy_test.json", [{"image": image, "caption": ["A child"]}])
    truth = coco_like([184613], "x", [(184613, "A child")])
    a_json(folder / "coco_karpathy_test_gt.json", truth | {"images": [{"id": 184613}]})
    return Set(
        "jsonl",
        captions={
            "val2014/COCO_val2014_000000391895.jpg": ("A man", "A biker"),
            "val2014/COCO_val2014_000000184613.jpg": ("A child",),
        },
        splits={"train": 1, "test": 1},
    )


def conceptual_captions_has_no_photos(folder, _photos):
    lines(
        folder / "Train_GCC-training.tsv",
        "a very typical bus station\thttp://lh6.ggpht.com/-IvRtNLNcG8o/TpFyrudaT6I/a.jpg",
    )
    return Set("csv", said=r"names there \(`sed -i '1i caption\\turl' FILE`\), download the images")


def laion_has_no_photos(folder, _photos):
    folder.mkdir()
    table = {
        "SAMPLE_ID": [1.0],
        "URL": ["http://x/a.jpg"],
        "TEXT": ["a boat"],
        "NSFW": ["UNLIKELY"],
    }
    pd.DataFrame(table).to_parquet(folder / "part-00000.snappy.parquet")
    return Set(
        "parquet", said=r"it has addresses \(URL\) and no images.*--url_col URL --caption_col TEXT"
    )


def sbu_has_no_photos(folder, _photos):
    urls = ["http://static.flickr.com/2723/4385058960_b0f291553e.jpg"]
    content = {"image_urls": urls, "captions": ["A wooden chair"], "user_ids": ["47889917@N08"]}
    a_json(folder / "sbu-captions-all.json", content)
    return Set("jsonl", said=r"--url_col image_urls --caption_col captions")


def img2dataset(folder, _photos):
    folder.mkdir()
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for key, caption in (("000000000", "A boat\nat sea"), ("000000002", "Two boats")):
            about = {"url": "http://x/a.jpg", "caption": caption, "key": key, "status": "success",
                     "error_message": None, "width": 40, "exif": "{}", "sha256": "9f"}  # fmt: skip
            for suffix, content in (
                ("jpg", encoded(int(key))), ("json", json.dumps(about).encode()),
                ("txt", caption.encode()),
            ):  # fmt: skip
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    rows = {"url": ["http://x/a.jpg"], "key": ["000000001"], "status": ["failed_to_download"]}
    pd.DataFrame(rows | {"caption": ["gone"]}).to_parquet(folder / "00000.parquet")
    a_json(folder / "00000_stats.json", {"count": 3, "successes": 2, "status_dict": {"success": 2}})
    return Set(
        "webdataset",
        captions={"00000/000000000.jpg": ("A boat at sea",), "00000/000000002.jpg": ("Two boats",)},
    )


def img2dataset_taken_for_its_parquet(folder, photos):
    img2dataset(folder, photos)
    return Set("parquet", said="can be read as webdataset: `finecap import webdataset --source")


def the_hubs_coco_with_a_sentence_a_row(folder, _photos):
    folder.mkdir()
    rows = [
        {
            "image": {"bytes": encoded(i), "path": f"COCO_val2014_{i:012}.jpg"},
            "filepath": "val2014", "sentids": [770337], "imgid": 0, "cocoid": i,
            "filename": f"COCO_val2014_{i:012}.jpg", "split": "restval",
            "sentences": {"tokens": ["a"], "raw": said, "imgid": 0, "sentid": 770337},
        }
        for i in (9, 42) for said in ("A man.", "A biker.")
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "train-00000-of-00001.parquet")
    return Set(
        "parquet",
        captions={f"COCO_val2014_{i:012}.jpg": ("A man.", "A biker.") for i in (9, 42)},
        splits={"train": 2},
    )


def the_hubs_nocaps(folder, _photos):
    folder.mkdir()
    row = {
        "image": {"bytes": encoded(1), "path": "0013ea2087020901.jpg"}, "image_id": 0,
        "image_coco_url": "https://s3.amazonaws.com/nocaps/val/0013ea2087020901.jpg",
        "image_file_name": "0013ea2087020901.jpg", "annotations_ids": [0],
        "annotations_captions": ["A baby is standing."],
    }  # fmt: skip
    pd.DataFrame([row]).to_parquet(folder / "validation-00000-of-00001.parquet")
    return Set("parquet", captions={"0013ea2087020901.jpg": ("A baby is standing.",)})


def an_image_folder_of_any_files(folder, _photos):
    made = {
        "grey.jpg": ("JPEG", "L"),
        "cmyk.JPEG": ("JPEG", "CMYK"),
        "deep.png": ("PNG", "I;16"),
        "palette.png": ("PNG", "P"),
        "really a png.jpg": ("PNG", "RGB"),
        "e\u0301 webp.jpg": ("WEBP", "RGB"),
    }
    (folder / "train").mkdir(parents=True)
    for seed, (name, (form, mode)) in enumerate(made.items()):
        (folder / "train" / name).write_bytes(encoded(seed, form, mode))
    (folder / "train/page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    (folder / "train/pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid")
    rows = [(unicodedata.normalize("NFC", name), f"said of {name[:3]}") for name in made]
    rows += [("page.jpg", "gone"), ("pointer.png", "elsewhere")]
    with (folder / "train/metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("file_name", "text"), *rows])
    return Set(
        "csv",
        settings={"max_bad": 0.5},
        captions={f"train/{name}": (tidy(f"said of {name[:3]}"),) for name in made},
        faults=[
            ("bad", "a web page, as a failed download leaves it"),
            ("bad", "a pointer of Git LFS (`git lfs pull`"),
        ],
    )


def paths_of_another_machine(folder, photos):
    photos(folder / "train2014", "a.JPG")
    photos(folder / "val2014", "b.jpg")
    rows = {
        "image": {"0": "/home/me/coco/train2014/a.jpg", "1": "C:\\me\\coco\\val2014\\b.jpg"},
        "caption": {"0": "one", "1": "two"},
    }
    a_json(folder / "frame.json", rows)
    return Set("jsonl", captions={"train2014/a.JPG": ("one",), "val2014/b.jpg": ("two",)})


def a_folder_of_names_and_captions(folder, photos):
    photos(folder / "img", "1.jpg", "2.jpg")
    a_json(folder / "captions.json", {"1.jpg": ["a boat", "a ship"], "2.jpg": "the sea"}, indent=2)
    return Set("jsonl", captions={"img/1.jpg": ("a boat", "a ship"), "img/2.jpg": ("the sea",)})


def annotations_still_packed(folder, photos):
    photos(folder / "train2017", "000000000009.jpg")
    (folder / "annotations_trainval2017.zip").write_bytes(b"PK")
    return Set(
        "coco", said=r"Unpack what is packed: `cd .* && unzip annotations_trainval2017\.zip`"
    )


def multi30k_pasted_from_its_two_files(folder, photos):
    photos(folder / "coco", "COCO_train2014_000000117071.jpg")
    photos(folder / "flickr30k-images", "1007129816.jpg")
    lines(
        folder / "test.tsv",
        "image\tcaption",
        '1007129816.jpg\t"The man" in an orange hat',
        "COCO_train2014_000000117071.jpg#367178\tA man sits .",
    )
    return Set(
        "csv",
        captions={
            "flickr30k-images/1007129816.jpg": ('"The man" in an orange hat',),
            "coco/COCO_train2014_000000117071.jpg": ("A man sits .",),
        },
    )


def multi30k_is_packed(folder, _photos):
    (folder / "data/task1").mkdir(parents=True)
    (folder / "data/task1/train.en.gz").write_bytes(gzip.compress(b"Two young guys ."))
    return Set("flickr30k", "data/task1", said=r"gunzip train\.en\.gz")


SETS = (
    coco_2017_in_folders_named_after_the_archives,
    coco_named_by_its_annotations,
    stair_has_its_captions_twice,
    nocaps,
    vizwiz,
    karpathys_file_taken_for_cocos,
    karpathys_archive_has_three,
    remote_sensing_in_tiff,
    flickr8k_two_folders_down_with_windows_line_ends,
    kaggles_flickr8k_taken_for_a_table,
    kaggles_flickr30k_with_its_broken_row_and_a_folder_twice,
    flickr30k_of_the_hub_has_lists_in_cells,
    textcaps,
    visual_genome,
    docci_has_splits_of_its_own,
    blips_karpathy_lists,
    conceptual_captions_has_no_photos,
    laion_has_no_photos,
    sbu_has_no_photos,
    img2dataset,
    img2dataset_taken_for_its_parquet,
    the_hubs_coco_with_a_sentence_a_row,
    the_hubs_nocaps,
    an_image_folder_of_any_files,
    paths_of_another_machine,
    a_folder_of_names_and_captions,
    annotations_still_packed,
    multi30k_pasted_from_its_two_files,
    multi30k_is_packed,
)


@pytest.mark.parametrize("public", SETS, ids=lambda public: public.__name__)
def test_public_sets_come_in_as_they_are(public, tmp_path, photos, bring):
    folder = tmp_path / "downloads"
    expected = public(folder, photos)
    settings = dict(expected.settings)
    if "images" in settings:
        settings["images"] = str(folder / settings["images"])
    source = folder / expected.source if expected.source else folder
    if expected.said:
        with pytest.raises((DatasetImportError, FileNotFoundError), match=expected.said):
            bring(expected.kind, source, **settings)
        assert not (tmp_path / "data").exists()
        return
    brought = bring(expected.kind, source, **settings)
    came = {image.removeprefix("images/"): said for image, said in brought.captions.items()}
    assert came == expected.captions
    assert all((brought.into / record.image).is_file() for record in brought.records)
    if expected.splits is None:
        assert "the source has none" in brought.report.splits
    else:
        assert brought.report.by_split == expected.splits
    assert len(brought.faults) == len(expected.faults), brought.faults
    for (_, kind, reason), (of, words) in zip(brought.faults, expected.faults, strict=True):
        assert kind == of
        assert words in reason
