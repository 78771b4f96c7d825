"""TIFF descriptions: read by Pillow, every page's pixels and every other byte as they were."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from PIL.TiffTags import LONG, SHORT

from finecap.export import tiff

PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
DRAW = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return DRAW.integers(0, 255, shape, np.uint8)


def written(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def pages() -> bytes:
    """Three of other sizes and modes."""
    first, *others = (Image.fromarray(pixels(5, 7 + n)) for n in range(3))
    return written(first, save_all=True, append_images=others)


def tiled(order: str = ">") -> bytes:
    """Two tiles of 16 x 16 grey pixels, big-endian, the second first in the file."""
    tiles = pixels(2, 256)
    body = tiles[1].tobytes() + tiles[0].tobytes()
    values = [
        (256, SHORT, 1, 32), (257, SHORT, 1, 16), (258, SHORT, 1, 8), (259, SHORT, 1, 1),
        (262, SHORT, 1, 1), (277, SHORT, 1, 1), (322, SHORT, 1, 16), (323, SHORT, 1, 16),
        (324, LONG, 2, 520), (325, LONG, 2, 528),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, n)
        + (
            struct.pack(order + "HH", value, 0)
            if kind == SHORT
            else struct.pack(order + "I", value)
        )
        for tag, kind, n, value in values
    )
    places = struct.pack(order + "4I", 8 + 256, 8, 256, 256)
    directory = struct.pack(order + "H", len(values)) + entries + bytes(4)
    return b"MM\0*" + struct.pack(order + "I", 536) + body + places + directory


def described() -> bytes:
    """With a description, an artist and a resolution of its own."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270], info[315], info[700] = "an old text", "someone", PACKET
    return written(Image.fromarray(pixels(4, 6, 3)), tiffinfo=info, dpi=(300, 300))


FILES = {
    "plain": written(Image.fromarray(pixels(24, 32, 3))),
    "bits": written(Image.fromarray(pixels(9, 9) > 99)),
    "deep": written(Image.fromarray(pixels(4, 4).astype(np.uint16) * 250)),
    "cmyk": written(Image.fromarray(pixels(4, 4, 4), "CMYK")),
    "packed": written(Image.fromarray(pixels(24, 32, 3)), compression="tiff_lzw"),
    "pages": pages(),
    "tiled": tiled(),
    "described": described(),
    "odd_length": written(Image.fromarray(pixels(3, 3))) + b"\0",
}


ANY = st.sampled_from(sorted(FILES))


def frames(content: bytes) -> list[tuple]:
    """Of each page: mode, size, pixels, and all tags but the two."""
    with Image.open(io.BytesIO(content)) as image:
        found = []
        for page in range(image.n_frames):
            image.seek(page)
            tags = {tag: value for tag, value in image.tag_v2.items() if tag not in {270, 700}}
            found.append((image.mode, image.size, image.tobytes(), tags))
        return found


@pytest.mark.parametrize("name", FILES)
def test_pillow_reads_both_and_everything_else_as_before(name: str):
    before = FILES[name]
    after = tiff.with_metadata(before, b"a red boat", PACKET)
    assert tiff.metadata_of(after) == (b"a red boat", PACKET)
    assert tiff.image_bytes(after) == tiff.image_bytes(before)
    assert after[8 : len(before)] == before[8:]
    assert frames(after) == frames(before)
    with Image.open(io.BytesIO(after)) as image:
        assert (image.tag_v2[270], image.info["xmp"]) == ("a red boat", PACKET)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.text(max_size=9),
    st.text(max_size=300),
    st.binary(max_size=9),
)
def test_writing_twice_is_writing_once(name: str, first: str, second: str, packet: bytes):
    before = FILES[name]
    text = second.replace("\0", "").encode()
    once = tiff.with_metadata(before, text, packet)
    assert tiff.metadata_of(once) == (text, packet)
    other = tiff.with_metadata(before, first.replace("\0", "").encode(), PACKET)
    assert tiff.with_metadata(other, text, packet) == once
    assert tiff.image_bytes(once) == tiff.image_bytes(before)


def test_what_others_appended_later_is_kept(tmp_path: Path):
    file = tmp_path / "a.tif"
    file.write_bytes(tiff.with_metadata(FILES["plain"], b"a red boat", PACKET))
    with TiffImagePlugin.AppendingTiffWriter(str(file)) as pages:
        Image.fromarray(pixels(5, 5)).save(pages, "TIFF")
    before = file.read_bytes()
    after = tiff.with_metadata(before, b"a blue boat", PACKET)
    assert after[8 : len(before)] == before[8:]
    assert frames(after) == frames(before)
    assert len(frames(after)) == 2


@pytest.mark.parametrize("layout", ["ImageJ=1.53\nimages=3", '<?xml version="1.0"?><OME/>'])
def test_a_description_that_lays_out_planes_is_not_replaced(layout: str):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = layout
    content = written(Image.fromarray(pixels(4, 4)), tiffinfo=info)
    with pytest.raises(tiff.TiffError, match="tells programs how its planes lie"):
        tiff.with_metadata(content, b"a red boat", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"II", "begins with b'II'"),
        (b"II+\0" + bytes(12), "BigTIFF"),
        (b"II*\0\xff\xff\0\0", "points past its end"),
        (b"II*\0\x08\0\0\0\x09\0", "a directory of it is cut off"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, reason: str):
    with pytest.raises(tiff.TiffError, match=reason):
        tiff.with_metadata(content, b"", b"")


@pytest.mark.parametrize("name", ["tiled", "pages", "packed", "described"])
def test_a_cut_off_file_is_refused(name: str):
    for end in range(len(FILES[name]) - 12):  # the last bytes may be no more than padding
        with pytest.raises(tiff.TiffError):
            tiff.with_metadata(FILES[name][:end], b"", b"")


def test_a_value_that_is_cut_off_is_refused():
    entry = struct.pack("<HHII", 700, 1, 99, 8)
    content = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    with pytest.raises(tiff.TiffError, match="tag 700 is cut off"):
        tiff.metadata_of(content)
