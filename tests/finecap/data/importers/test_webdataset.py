"""Shards as WebDataset and img2dataset write them, read as streams."""

import io
import json
import tarfile

import pytest

from finecap.data.importers import DatasetImportError
from finecap.data.transforms import load_image
from tests.finecap.data.importers.conftest import picture


def shard(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in members:
            raw = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def jpeg(seed):
    content = io.BytesIO()
    picture(seed).save(content, "JPEG")
    return content.getvalue()


def test_samples_of_several_shards_keep_apart(tmp_path, bring):
    for n in range(2):
        members = [("0000.jpg", jpeg(n)), ("0000.txt", f"a boat {n}\nthe sea"), ("0000.cls", "3")]
        shard(tmp_path / "wds" / f"{n:05}.tar", members)
    brought = bring("webdataset", tmp_path / "wds")
    assert brought.captions == {
        "images/00000/0000.jpg": ("a boat 0", "the sea"),
        "images/00001/0000.jpg": ("a boat 1", "the sea"),
    }


def test_img2dataset_has_the_caption_twice_and_keys_from_elsewhere(tmp_path, bring):
    about = {"caption": "a boat", "url": "http://example.org/a.jpg", "status": "success"}
    members = [
        ("./a/b.01.jpg", jpeg(1)),
        ("./a/b.01.json", json.dumps(about)),
        ("c d.PNG", jpeg(2)),
        ("c d.txt", "a ship"),
        ("c d.json", json.dumps({**about, "split": "test"})),
    ]
    brought = bring("webdataset", shard(tmp_path / "00000.tar.gz", members), splits="new")
    assert brought.captions == {
        "images/00000/a/b.jpg": ("a boat",),
        "images/00000/c_d.jpg": ("a ship",),
    }


def test_shards_named_by_split_keep_it(tmp_path, bring):
    for seed, split in enumerate(("train", "val", "test")):
        members = [("0.jpg", jpeg(seed)), ("0.txt", "a boat")]
        shard(tmp_path / "wds" / split / "00000.tar", members)
    brought = bring("webdataset", tmp_path / "wds")
    assert brought.report.by_split == {"train": 1, "val": 1, "test": 1}


def test_samples_that_lack_something_are_reported(tmp_path, bring):
    members = [
        ("0.jpg", jpeg(1)),
        ("0.txt", "a boat"),
        ("1.txt", "no image"),
        ("2.jpg", jpeg(2)),
        ("2.cls", "3"),
        ("3.jpg", jpeg(3)),
        ("3.json", "[]"),
        ("4.jpg", b"broken"),
        ("4.txt", "a boat"),
        ("4a.1.jpg", jpeg(5)),
        ("4a.2.jpg", jpeg(6)),
        ("4a.txt", "whose?"),
        ("5.jpg", jpeg(5)),
        ("5.txt", b"caf\xe9"),
    ]
    faults = bring("webdataset", shard(tmp_path / "0.tar", members), max_bad=0.9).faults
    assert [reason.split(":")[0] for *_, reason in faults] == [
        "no image among .txt",
        "no caption among .jpg, .cls",
        "its .json is '[]', expected an object",
        "does not decode",
        "2 images among .1.jpg, .2.jpg, .txt",
        "'utf-8' codec can't decode byte 0xe9 in position 3",
    ]


def test_a_shard_that_ends_early_gives_what_it_has(tmp_path, bring):
    members = [m for n in range(3) for m in ((f"{n}.jpg", jpeg(n)), (f"{n}.txt", f"boat {n}"))]
    path = shard(tmp_path / "wds" / "0.tar", members)
    path.write_bytes(path.read_bytes()[:5000])
    brought = bring("webdataset", tmp_path / "wds", max_bad=0.5)
    assert 1 <= brought.report.images < 3
    assert any("cannot be read on after sample" in reason for *_, reason in brought.faults)


def test_a_folder_without_shards_is_named(tmp_path, bring):
    with pytest.raises(FileNotFoundError, match=r"has no \.tar"):
        bring("webdataset", tmp_path)


def test_images_can_stay_in_their_shards(tmp_path, bring):
    said = {}
    for split in ("train", "val"):
        members = [(f"./{n}.jpg", jpeg(n + 10 * len(split))) for n in range(3)]
        said |= {f"images/{split}/0.tar/{n}.jpg": ("a boat",) for n in range(3)}
        members += [(f"{n}.txt", "a boat") for n in range(3)]
        shard(tmp_path / "wds" / split / "0.tar", sorted(members, key=lambda it: it[0][-5]))
    brought = bring("webdataset", tmp_path / "wds", in_shards=True)
    assert brought.captions == said
    assert all(r.split == r.image.split("/")[1] for r in brought.records)
    names = sorted(path.name for path in (brought.into / "images").rglob("*") if path.is_file())
    assert names == ["0.tar", "0.tar", "0.tar.index.npy", "0.tar.index.npy"]
    for record in brought.records:
        assert load_image(brought.into / record.image).size == (40, 40)
    assert bring("webdataset", tmp_path / "wds", in_shards=True).report.unchanged


def test_shards_are_linked_when_asked_to(tmp_path, bring):
    source = shard(tmp_path / "0.tar", [("0.jpg", jpeg(0)), ("0.txt", "a boat")])
    brought = bring("webdataset", source, in_shards=True, link=True)
    assert (brought.into / "images" / "0.tar").samefile(source)


def test_only_plain_shards_can_be_read_in_place(tmp_path, bring):
    shard(tmp_path / "wds" / "0.tar.gz", [("0.jpg", jpeg(0)), ("0.txt", "a boat")])
    with pytest.raises(DatasetImportError, match=r"0\.tar\.gz is compressed.*--in-shards"):
        bring("webdataset", tmp_path / "wds", in_shards=True)


def test_of_two_images_of_one_name_in_a_shard_the_second_is_a_fault(tmp_path, bring):
    members = [("0.jpg", jpeg(0)), ("0.txt", "a"), ("1.jpg", jpeg(1)), ("1.txt", "a boat")]
    shard(tmp_path / "0.tar", [*members, ("0.jpg", jpeg(2)), ("0.txt", "a ship")])
    brought = bring("webdataset", tmp_path / "0.tar", in_shards=True, max_bad=0.5)
    assert [fault[2] for fault in brought.faults] == [
        "two images of the shard are called 0.tar/0.jpg, only the last can be read"
    ]
