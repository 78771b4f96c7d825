"""Pictures are small, named by their content, and made again when their file changes."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finecap.search.index import Row
from finecap.server.refusals import Refused
from finecap.server.thumbnails import Thumbnails, encoded

ROW = Row("a", "images/a.png", "a boat", np.eye(2, dtype=np.float32)[0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (900, 300), "red").save(tmp_path / "images" / "a.png")
    return tmp_path


def size(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


def test_large_images_become_small_jpegs(root: Path):
    thumbnails = Thumbnails(root, 10)
    small, large = thumbnails.of(ROW), thumbnails.of(ROW, "large")
    assert (size(small.content), small.media_type) == ((320, 107), "image/jpeg")
    assert size(large.content) == (900, 300)
    assert small.etag != large.etag


def test_drawn_images_stay_png():
    assert encoded(Image.new("RGB", (96, 96)), 320).media_type == "image/png"


def test_a_file_that_changes_is_read_again(root: Path):
    thumbnails = Thumbnails(root, 10)
    before = thumbnails.of(ROW)
    assert thumbnails.of(ROW) is before
    file = root / "images" / "a.png"
    Image.new("RGB", (900, 300), "blue").save(file)
    os.utime(file, ns=(1, 1))
    assert thumbnails.of(ROW).etag != before.etag


def test_a_file_that_is_gone_or_broken_is_said(root: Path):
    file = root / "images" / "a.png"
    file.write_bytes(b"no image")
    with pytest.raises(Refused, match="file of image a cannot be read"):
        Thumbnails(root, 10).of(ROW)
    file.unlink()
    with pytest.raises(Refused, match="--root"):
        Thumbnails(root, 10).of(ROW)


def test_a_wrong_root_is_told_once_to_who_started_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    thumbnails = Thumbnails(tmp_path / "elsewhere", 10)
    for _ in range(3):
        with pytest.raises(Refused):
            thumbnails.of(ROW)
    (said,) = caplog.messages
    assert f"are looked for in {tmp_path / 'elsewhere'}, expected" in said
