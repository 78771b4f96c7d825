"""Whole EXIF blocks of real encoders pass; broken ones are told from them."""

import io
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finecap.data.exif import exif_fault


def block():
    """As Pillow writes it: orientation, maker, and a camera's block."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera of a maker"
    exif.get_ifd(0x8769)[0x9003] = "2026:11:23 12:00:00"
    return exif.tobytes()


def test_whole_blocks_pass_in_both_byte_orders():
    big = b"MM\0*" + struct.pack(">IHHHII", 8, 1, 0x0112, 3, 1, 6 << 16) + b"\0\0\0\0"
    assert [exif_fault(content) for content in (block(), block()[6:], big, b"")] == [None] * 4


def test_a_photo_keeps_a_whole_block():
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG", exif=block())
    assert exif_fault(Image.open(content).info["exif"]) is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"Exif\0\0nonsense", "no TIFF header"),
        (block()[:30], "bytes? at byte|a directory of|entries at byte"),
        (b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 99, 1, 6), "0x0112 is of unknown type 99"),
        (b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x010F, 2, 999, 40), "has 999 bytes at byte 40"),
        (b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 900), "a directory at byte 900"),
    ],
)
def test_broken_blocks_say_what_is_broken(content, fault):
    assert re.search(fault, exif_fault(content) or "")


@given(st.binary(max_size=80))
def test_any_bytes_have_an_answer(content):
    assert exif_fault(b"II*\0" + content) is None or exif_fault(b"II*\0" + content)
