"""JPEG files cut into segments: EXIF and XMP replaced, every other byte kept.

ISO/IEC 10918-1 annex B. Compressed data is never decoded, so pixels cannot change.
"""

import struct
from collections.abc import Iterator

_SOI, _APP0, _APP1, _SOS = 0xD8, 0xE0, 0xE1, 0xDA
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MOST = 65_533  # bytes a segment holds


class JpegError(ValueError):
    """A JPEG file that cannot be read, or cannot hold what should be put in."""


def metadata_of(content: bytes) -> tuple[bytes, bytes]:
    """The EXIF block and the XMP packet of a file, b"" where there is none.

    Raises:
        JpegError: it is no whole JPEG.
    """
    exif = xmp = b""
    for marker, body, _ in _segments(content):
        if marker == _APP1 and body.startswith(_EXIF) and not exif:
            exif = body[len(_EXIF) :]
        if marker == _APP1 and body.startswith(_XMP) and not xmp:
            xmp = body[len(_XMP) :]
    return exif, xmp


def with_metadata(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The file with that EXIF block and XMP packet in place of its own.

    Raises:
        JpegError: it is no whole JPEG, or a block is too long for a segment.
    """
    first, rest = b"", b""
    end = 2
    for marker, body, end in _segments(content):  # noqa: B007 - where the last one ends
        is_replaced = marker == _APP1 and body.startswith((_EXIF, _XMP))
        written = b"" if is_replaced else _segment(marker, body)
        if marker == _APP0 and not rest:  # JFIF's has to come first
            first += written
        else:
            rest += written
    head = content[:2] + first
    return head + _segment(_APP1, _EXIF + exif) + _segment(_APP1, _XMP + xmp) + rest + content[end:]


def image_bytes(content: bytes) -> bytes:
    """Everything but application segments 1: what decides the pixels, and all that is not ours."""
    kept = b""
    end = 2
    for marker, body, end in _segments(content):  # noqa: B007
        kept += _segment(marker, body) if marker != _APP1 else b""
    return kept + content[end:]


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, where it ends) of each segment before the compressed data."""
    if content[:2] != bytes((0xFF, _SOI)):
        raise JpegError("it is no JPEG")
    at = 2
    while True:
        if at + 4 > len(content) or content[at] != 0xFF:  # noqa: PLR2004 - a marker's first byte
            raise JpegError(f"it is no whole JPEG: no segment at byte {at}")
        marker = content[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a byte that fills
            at += 1
            continue
        if marker == _SOS:
            return
        (length,) = struct.unpack_from(">H", content, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(content):  # noqa: PLR2004 - its own two bytes
            raise JpegError(f"it is no whole JPEG: the segment at byte {at} is cut off")
        yield marker, content[at + 4 : end], end
        at = end


def _segment(marker: int, body: bytes) -> bytes:
    if len(body) > _MOST:
        raise JpegError(f"its metadata would take {len(body)} bytes, at most {_MOST} fit")
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
