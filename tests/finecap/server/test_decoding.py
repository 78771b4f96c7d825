"""Hostile images are refused or read as harmless pixels; the process that reads them can die."""

import io
import os
import signal
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from finecap.data.transforms import ImageError
from finecap.server.decoding import MAX_SIDE, Decoder
from finecap.server.refusals import Refused


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(timeout_s=30)
    yield decoder
    decoder.close()


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose head claims that size over a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


RED = Image.new("RGB", (40, 20), (200, 10, 10))
WHOLE = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image"),
        (b"\0", "no image"),
        (SVG, "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
        (png_claiming(100_000, 100_000), "bomb|too large"),
        (png_claiming(9_000, 9_000), "too large"),
        (png_claiming(4_000, 4_000), "does not decode"),
        (WHOLE[: len(WHOLE) // 2], "does not decode"),
        (saved(RED, "JPEG")[:-30], "does not decode"),
    ],
    ids=["empty", "zero", "svg", "eps", "bomb", "large", "short", "truncated", "cut-jpeg"],
)
def test_what_is_no_whole_image_is_refused(decoder: Decoder, content: bytes, reason: str):
    with pytest.raises(ImageError, match=reason):
        decoder.decode(content)


@pytest.mark.parametrize(
    "content",
    [
        saved(RED.convert("CMYK"), "JPEG", quality=95),
        saved(RED.quantize(4)),
        saved(RED, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 20))] * 3),
        saved(RED) + b"<script>alert(1)</script><?php evil(); ?>",
        saved(RED, "WEBP", lossless=True),
        saved(RED, "TIFF"),
    ],
    ids=["cmyk", "palette", "animated", "polyglot", "webp", "tiff"],
)
def test_unusual_images_come_back_as_plain_pixels(decoder: Decoder, content: bytes):
    image = decoder.decode(content)
    assert (image.mode, image.size) == ("RGB", (40, 20))
    assert np.abs(np.asarray(image, dtype=int) - (200, 10, 10)).max() <= 8


def test_sixteen_bits_become_eight(decoder: Decoder):
    deep = Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16))
    assert decoder.decode(saved(deep)).getpixel((0, 0)) == (128, 128, 128)


def test_an_image_is_turned_upright(decoder: Decoder):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert decoder.decode(saved(RED, "JPEG", exif=exif)).size == (20, 40)


def test_a_long_thin_image_is_scaled_down(decoder: Decoder):
    assert decoder.decode(saved(Image.new("RGB", (50_000, 1)))).size == (MAX_SIDE, 1)


def test_an_image_that_takes_too_long_is_given_up_and_the_next_is_read():
    decoder = Decoder(timeout_s=30)
    decoder.decode(WHOLE)
    assert decoder._process is not None
    os.kill(decoder._process.pid or 0, signal.SIGSTOP)  # it hangs
    decoder._timeout_s = 0.2
    with pytest.raises(Refused, match=r"could not be read within 0\.2 s"):
        decoder.decode(WHOLE)
    decoder._timeout_s = 30
    assert decoder.decode(WHOLE).size == (60, 60)
    decoder.close()


def test_a_reader_that_dies_is_replaced(decoder: Decoder):
    decoder.decode(WHOLE)
    assert decoder._process is not None
    decoder._process.kill()
    decoder._process.join()
    with pytest.raises(Refused, match="broken or needs too much memory"):
        decoder.decode(WHOLE)
    assert decoder.decode(WHOLE).size == (60, 60)
