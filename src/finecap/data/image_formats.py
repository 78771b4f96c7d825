"""The image formats that are read, told by content; and the names such files go by.

What stays out: pixels (`transforms`), facts of an image (`image_facts`).
"""

import io

from PIL import Image, UnidentifiedImageError

# Named, because Pillow would otherwise also try formats that call other programs (EPS).
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .png .webp .avif .gif .bmp .tif .tiff .ppm .pgm".split()  # noqa: SIM905
)
"""By which a file's name says that it is an image."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_HEAD = 512  # bytes in which text shows what it is


class UnknownFormatError(ValueError):
    """Content that is of no format we read; says what it seems to be."""


def open_image(content: bytes) -> Image.Image:
    """The image in a file's content, not decoded yet.

    Raises:
        UnknownFormatError: it is of no format in `FORMATS`.
        Exception: its head is broken; Pillow's decoders raise a dozen kinds.
    """
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnknownFormatError(
            f"it is {_seems(content)}, expected one of {', '.join(FORMATS)}"
        ) from error


def _seems(content: bytes) -> str:
    """What content that is no image we read may be: what downloads and phones leave behind."""
    text = content[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not content:
        return "empty"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return "HEIC, as phones save photos (JPEG can be read)"
    if b"<svg" in text or text.startswith(b"<?xml"):
        return "SVG or other XML"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page, as a failed download leaves it"
    if content.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS (`git lfs pull` fetches the file)"
    return "no image, or a broken one"
