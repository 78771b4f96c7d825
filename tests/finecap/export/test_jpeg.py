"""Segments are replaced; the compressed data is never touched."""

import io

import numpy as np
import pytest
from PIL import Image

from finecap.export.jpeg import JpegError, image_bytes, metadata_of, with_metadata

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"a comment"}])
def test_metadata_reads_back_and_pixels_are_the_same(options: dict[str, object]):
    before = jpeg(**options)
    after = with_metadata(before, b"II*\0exif", b"<xmp/>")
    assert metadata_of(after) == (b"II*\0exif", b"<xmp/>")
    assert image_bytes(after) == image_bytes(before)
    assert after.endswith(before[before.index(b"\xff\xda") :])


def test_metadata_is_replaced_not_added():
    once = with_metadata(jpeg(), b"II*\0a", b"<a/>")
    twice = with_metadata(once, b"II*\0b", b"<b/>")
    assert metadata_of(twice) == (b"II*\0b", b"<b/>")
    assert len(twice) == len(once)


def test_too_much_metadata_is_refused():
    with pytest.raises(JpegError, match="at most 65533 fit"):
        with_metadata(jpeg(), b"x" * 70_000, b"")


@pytest.mark.parametrize("content", [b"", b"no jpeg", jpeg()[:40], b"\xff\xd8\xff\xe0\0\0"])
def test_what_is_no_whole_jpeg_is_refused(content: bytes):
    with pytest.raises(JpegError, match="it is no"):
        metadata_of(content)
