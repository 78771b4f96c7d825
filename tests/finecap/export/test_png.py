"""Chunks are replaced; every other byte is kept."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from finecap.export.png import PngError, image_bytes, metadata_of, with_metadata

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def png() -> bytes:
    buffer, text = io.BytesIO(), PngInfo()
    text.add_text("Author", "someone")
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def test_metadata_reads_back_and_all_else_is_the_same():
    before = png()
    after = with_metadata(before, b"II*\0exif", b"<xmp/>")
    assert metadata_of(after) == (b"II*\0exif", b"<xmp/>")
    assert image_bytes(after) == before
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(after))), PIXELS)


def test_metadata_is_replaced_not_added():
    once = with_metadata(png(), b"II*\0a", b"<a/>")
    twice = with_metadata(once, b"II*\0b", b"<b/>")
    assert metadata_of(twice) == (b"II*\0b", b"<b/>")
    assert len(twice) == len(once)


@pytest.mark.parametrize("content", [b"", b"no png", png()[:60], png()[:-5]])
def test_what_is_no_whole_png_is_refused(content: bytes):
    with pytest.raises(PngError, match="it is no"):
        metadata_of(content)
