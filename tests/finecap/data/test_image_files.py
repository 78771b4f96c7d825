"""Images of files and of tars are read alike, and never one for another."""

import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from finecap.config import ValidationConfig
from finecap.data import image_files
from finecap.data.expectations import validate
from finecap.data.image_files import (
    ShardError,
    image_bytes,
    image_stat,
    images_at,
    index_of,
    is_in_shard,
    write_index,
)
from finecap.data.transforms import ImageError, load_image
from finecap.log import silent

LONG = "a/" + "b" * 120 + ".jpg"


def packed(path, contents, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=[tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def shard(request, tmp_path):
    """A tar of four members, two of names that headers have no room for."""
    contents = {"0.jpg": b"zero", "./1.jpg": b"one", "d/\u00e9.jpg": b"e", LONG: b"long"}
    return packed(tmp_path / "0.tar", contents, request.param)


@pytest.mark.parametrize("is_indexed", [True, False])
def test_members_are_read_where_they_lie(shard, is_indexed):
    if is_indexed:
        write_index(shard)
    before = sorted(shard.parent.iterdir())
    assert image_bytes(shard / "0.jpg") == b"zero"
    assert image_bytes(shard / "1.jpg") == b"one"
    assert image_bytes(shard / "d" / "\u00e9.jpg") == b"e"
    assert image_bytes(shard / LONG) == b"long"
    assert image_stat(shard / "0.jpg") == (4, shard.stat().st_mtime_ns)
    assert sorted(shard.parent.iterdir()) == before


def test_a_tar_stands_for_its_images_and_a_member_for_itself(shard, tmp_path):
    assert images_at(shard) == [shard / name for name in ("0.jpg", "1.jpg", LONG, "d/\u00e9.jpg")]
    assert images_at(shard / "1.jpg") == [shard / "1.jpg"]
    (tmp_path / "a.png").write_bytes(b"file")
    assert images_at(tmp_path / "a.png") == [tmp_path / "a.png"]
    with pytest.raises(
        FileNotFoundError, match=r"0\.tar has no 9\.jpg, it has 0\.jpg, 1\.jpg, a/b"
    ):
        images_at(shard / "9.jpg")
    with pytest.raises(FileNotFoundError, match=r"no\.png does not exist"):
        images_at(tmp_path / "no.png")
    with pytest.raises(IsADirectoryError):
        images_at(tmp_path)
    empty = packed(tmp_path / "text.tar", {"1.txt": b"no image"})
    with pytest.raises(FileNotFoundError, match=r"text\.tar has no image"):
        images_at(empty)


def test_files_are_read_as_ever_even_in_a_folder_called_tar(tmp_path):
    (tmp_path / "0.tar").mkdir()
    path = tmp_path / "0.tar" / "0.jpg"
    path.write_bytes(b"file")
    assert (image_bytes(path), is_in_shard(path)) == (b"file", False)
    assert image_stat(path) == (4, path.stat().st_mtime_ns)


def test_what_is_not_there_is_refused_by_name(shard):
    for path in (shard / "2.jpg", shard / "0.jpg" / "x", shard.parent / "1.jpg"):
        with pytest.raises(FileNotFoundError, match=f"image {path} does not exist"):
            image_bytes(path)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        image_bytes(shard.parent)


def test_a_replaced_tar_is_read_anew(shard):
    assert image_bytes(shard / "0.jpg") == b"zero"
    packed(shard, {"0.jpg": b"another"})
    assert image_bytes(shard / "0.jpg") == b"another"


@pytest.mark.parametrize("change", ["another", "cut"])
def test_an_index_of_another_tar_is_never_believed(shard, change):
    write_index(shard)
    if change == "cut":
        offset = int(np.load(index_of(shard))[0]["offset"])
        os.truncate(shard, offset + 2)
        name = np.load(index_of(shard))[0]["name"].decode()
    else:
        packed(shard, {"9.jpg": b"nine", "0.jpg": b"zero", "1.jpg": b"one"})
        name = "0.jpg"
    with pytest.raises(ShardError, match=rf"{name} where 0\.tar\.index\.npy says.*import it again"):
        image_bytes(shard / name)


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "0.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ShardError, match="cannot be read as a tar that is not compressed"):
        write_index(tmp_path / "0.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"]


def test_threads_read_one_shard_and_more_shards_than_stay_open(tmp_path):
    shards = [packed(tmp_path / f"{n}.tar", {"0.jpg": bytes([n])}) for n in range(80)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda shard: image_bytes(shard / "0.jpg"), shards * 2))
    assert found == [bytes([n]) for n in range(80)] * 2
    assert image_files._opened.cache_info().currsize <= 64


def test_a_broken_member_is_named(shard):
    with pytest.raises(ImageError, match=r"image .*0\.tar/0\.jpg does not decode"):
        load_image(shard / "0.jpg")


def test_a_data_folder_in_shards_is_validated_as_one_in_files(data, tmp_path):
    data.write()
    validate(data.folder, ValidationConfig(min_side=32), tmp_path / "files", silent)
    names = [row["image"].removeprefix("images/") for row in data.rows]
    contents = {name: (data.folder / "images" / name).read_bytes() for name in names}
    for row in data.rows:
        (data.folder / row["image"]).unlink()
        row["image"] = row["image"].replace("images/", "images/0.tar/")
    packed(data.folder / "images" / "0.tar", contents)
    data.write()
    validate(data.folder, ValidationConfig(min_side=32), tmp_path / "shards", silent)
    for name in ("results.json", "features.json"):
        files, shards = (tmp_path / it / name for it in ("files", "shards"))
        assert files.read_text() == shards.read_text()
