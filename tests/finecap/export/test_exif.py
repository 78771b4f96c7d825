"""EXIF gains a description, and nothing that was there moves."""

import io
import struct

import pytest
from PIL import Image

from finecap.export.exif import ExifError, with_description


def read(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return exif


def camera_block(order: str = "<") -> bytes:
    """A block with an orientation, a maker note of absolute offsets, and a second directory."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112], exif[0x010F] = 6, "A maker"
    exif.get_ifd(0x8769)[0x927C] = b"maker note \x01\x02"
    return exif.tobytes()[6:]


@pytest.mark.parametrize("caption", ["a red boat", "abc", "", "ein grünes Boot 🚤" * 40])
def test_a_new_block_holds_the_caption(caption: str):
    stored = read(with_description(b"", caption))[0x010E]
    assert stored.encode("latin-1").decode() == caption


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_was_there_stays_where_it_was(order: str):
    before = camera_block(order)
    after = with_description(before, "a red boat")
    assert after[8 : len(before)] == before[8:]
    exif = read(after)
    assert (exif[0x010E], exif[0x0112], exif[0x010F]) == ("a red boat", 6, "A maker")
    assert exif.get_ifd(0x8769)[0x927C] == b"maker note \x01\x02"


def test_an_earlier_description_is_replaced():
    twice = with_description(with_description(camera_block(), "a blue boat"), "a red boat")
    assert read(twice)[0x010E] == "a red boat"
    (at,) = struct.unpack_from("<I", twice, 4)
    (count,) = struct.unpack_from("<H", twice, at)
    tags = [struct.unpack_from("<H", twice, at + 2 + 12 * i)[0] for i in range(count)]
    assert tags == sorted(set(tags))


def test_the_thumbnails_directory_is_still_pointed_at():
    block = b"II*\0" + struct.pack("<IHI", 8, 0, 1234)
    after = with_description(block, "a red boat")
    assert after.endswith(struct.pack("<I", 1234))


@pytest.mark.parametrize("block", [b"nonsense", b"II*\0\xff\xff\0\0", b"II*\0\x08\0\0\0\x09\0"])
def test_a_broken_block_is_refused(block: bytes):
    with pytest.raises(ExifError, match="its EXIF"):
        with_description(block, "a red boat")


def test_pillow_reads_it_in_a_file():
    buffer = io.BytesIO()
    exif = b"Exif\0\0" + with_description(b"", "a red boat")
    Image.new("RGB", (4, 4)).save(buffer, "JPEG", exif=exif)
    assert Image.open(buffer).getexif()[0x010E] == "a red boat"
