"""WebP metadata: read by Pillow, pixels and every other chunk as they were."""

import io

import numpy as np
import pytest
from PIL import Image

from finecap.export import webp

DRAW = np.random.default_rng(0)


def written(channels: int = 3, size: tuple[int, int] = (17, 33), **options) -> bytes:
    pixels = DRAW.integers(0, 255, (*size, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def animated() -> bytes:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


FILES = {
    "lossy": written(),
    "lossless": written(lossless=True),
    "lossless_alpha": written(4, lossless=True, exact=True),
    "lossy_alpha": written(4),
    "with_profile": written(icc_profile=b"odd"),
    "with_metadata": written(exif=b"Exif\0\0MM", xmp=b"<x/>"),
    "one_pixel": written(size=(1, 1)),
    "animated": animated(),
}


@pytest.mark.parametrize("name", FILES)
def test_metadata_is_read_back_and_pixels_stay(name: str):
    before = FILES[name]
    after = webp.with_metadata(before, b"EXIF!", b"<packet/>")
    assert webp.metadata_of(after) == (b"EXIF!", b"<packet/>")
    assert webp.image_bytes(after) == webp.image_bytes(before)
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
        assert (new.size, new.mode, new.info["xmp"]) == (old.size, old.mode, b"<packet/>")
        assert new.tobytes() == old.tobytes()
        assert new.info.get("icc_profile") == old.info.get("icc_profile")


@pytest.mark.parametrize("name", FILES)
def test_writing_twice_is_writing_once(name: str):
    once = webp.with_metadata(FILES[name], b"b", b"<x/>")
    assert webp.with_metadata(webp.with_metadata(once, b"", b"y"), b"b", b"<x/>") == once


def test_metadata_that_is_there_is_found():
    assert webp.metadata_of(FILES["with_metadata"]) == (b"MM", b"<x/>")
    assert webp.metadata_of(FILES["lossy"]) == (b"", b"")


@pytest.mark.parametrize("name", FILES)
def test_every_cut_off_file_is_refused(name: str):
    whole = FILES[name]
    for end in range(len(whole)):
        with pytest.raises(webp.WebpError):
            webp.with_metadata(whole[:end], b"", b"")


def test_a_chunk_of_no_known_kind_is_refused():
    odd = webp.image_bytes(FILES["lossy"]).replace(b"VP8 ", b"VP9 ")
    with pytest.raises(webp.WebpError, match="first chunk is b'VP9 '"):
        webp.with_metadata(odd, b"", b"")
