"""Copies hold their captions where others read them, and the pixels they had."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finecap.export.embed import EmbedError, embed_captions, with_caption
from finecap.log import silent
from finecap.search.index import Row

CAPTION = "a red boat, « au large » & <b>bold</b>"
PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def image_file(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


def row(image: str, path: str = "") -> Row:
    return Row(image, path or f"data/{image}", CAPTION, np.eye(2, dtype=np.float32)[0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pillow_reads_the_caption_and_the_same_pixels(kind: str):
    before = image_file(kind)
    copy = Image.open(io.BytesIO(with_caption(before, CAPTION)))
    copy.load()
    assert copy.getexif()[0x010E].encode("latin-1").decode() == CAPTION
    described = copy.getxmp()["xmpmeta"]["RDF"]["Description"]["description"]
    assert described["Alt"]["li"]["text"] == CAPTION
    assert copy.tobytes() == Image.open(io.BytesIO(before)).tobytes()


def test_pillow_reads_the_caption_of_a_gif_as_its_comment():
    before = image_file("GIF")
    copy = Image.open(io.BytesIO(with_caption(before, CAPTION)))
    assert copy.info["comment"].decode() == CAPTION
    assert copy.tobytes() == Image.open(io.BytesIO(before)).tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_captions_are_embedded_again_without_growing(kind: str):
    once = with_caption(image_file(kind), CAPTION)
    assert with_caption(with_caption(once, "other"), CAPTION) == once


def test_copies_are_written_and_others_named(tmp_path: Path):
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(image_file("JPEG"))
    (folder / "b.png").write_bytes(image_file("PNG"))
    (folder / "c.bmp").write_bytes(image_file("BMP"))
    (folder / "d.jpg").write_bytes(image_file("JPEG")[:50])
    rows = [row(f"images/{name}") for name in ("a.jpg", "b.png", "c.bmp", "d.jpg", "e.jpg")]
    done = embed_captions(rows, tmp_path, tmp_path / "copies", silent)
    assert done.written == 2
    copies = sorted((tmp_path / "copies").rglob("*.*"))
    assert [path.name for path in copies] == ["a.jpg", "b.png"]
    assert dict(done.skipped) == {
        "images/c.bmp": "it is neither JPEG, PNG, WebP, TIFF nor GIF",
        "images/d.jpg": "it is no whole JPEG: the segment at byte 20 is cut off",
        "images/e.jpg": f"image {folder / 'e.jpg'} does not exist",
    }


def test_an_image_is_never_replaced_by_its_copy(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(image_file("PNG"))
    with pytest.raises(EmbedError, match="is the image itself"):
        embed_captions([row("a.png", "a.png")], tmp_path, tmp_path, silent)
    assert (tmp_path / "a.png").read_bytes() == image_file("PNG")


@pytest.mark.parametrize("key", ["../a.png", "/a.png", "images/../../a.png"])
def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path, key: str):
    with pytest.raises(EmbedError, match="leads out of the folder"):
        embed_captions([row(key)], tmp_path, tmp_path / "copies", silent)
