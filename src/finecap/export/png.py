"""PNG files cut into chunks: eXIf and XMP replaced, every other chunk kept byte for byte.

PNG third edition, sections 5.3 and 11.3; XMP in an iTXt chunk as XMP part 3, section 1.1.5.
"""

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"XML:com.adobe.xmp"


class PngError(ValueError):
    """A PNG file that cannot be read."""


def metadata_of(content: bytes) -> tuple[bytes, bytes]:
    """The EXIF block and the XMP packet of a file, b"" where there is none.

    Raises:
        PngError: it is no whole PNG.
    """
    exif = xmp = b""
    for kind, body in _chunks(content):
        if kind == b"eXIf":
            exif = body
        elif _is_xmp(kind, body):
            xmp = _text(body)
    return exif, xmp


def with_metadata(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The file with that EXIF block and XMP packet in place of its own.

    Raises:
        PngError: it is no whole PNG.
    """
    written = _SIGNATURE
    for kind, body in _chunks(content):
        if kind == b"eXIf" or _is_xmp(kind, body):
            continue
        written += _chunk(kind, body)
        if kind == b"IHDR":  # both have to come before the first IDAT
            text = _KEYWORD + b"\0\0\0\0\0" + xmp  # not compressed, no language, no translation
            written += _chunk(b"eXIf", exif) + _chunk(b"iTXt", text)
    return written


def image_bytes(content: bytes) -> bytes:
    """Every chunk but eXIf and XMP: what decides the pixels, and all that is not ours."""
    return _SIGNATURE + b"".join(
        _chunk(kind, body)
        for kind, body in _chunks(content)
        if kind != b"eXIf" and not _is_xmp(kind, body)
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each chunk."""
    if not content.startswith(_SIGNATURE):
        raise PngError("it is no PNG")
    at, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(content):
            raise PngError("it is no whole PNG: it ends before IEND")
        length, kind = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            raise PngError(f"it is no whole PNG: the chunk at byte {at} is cut off")
        yield kind, content[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _is_xmp(kind: bytes, body: bytes) -> bool:
    return kind == b"iTXt" and body.startswith(_KEYWORD + b"\0")


def _text(body: bytes) -> bytes:
    """The text of an XMP chunk; a compressed one, which XMP forbids, reads as none."""
    is_compressed, rest = body[len(_KEYWORD) + 1], body[len(_KEYWORD) + 3 :]
    _, _, rest = rest.partition(b"\0")
    _, _, text = rest.partition(b"\0")
    return b"" if is_compressed else text
