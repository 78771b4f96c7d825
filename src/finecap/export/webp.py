"""WebP files cut into chunks: EXIF and XMP replaced, every other chunk kept byte for byte.

RFC 9649, section 2.7: metadata needs the extended format, so a simple file is given the header
(VP8X) that its bitstream describes. Compressed data is never decoded, so pixels cannot change.
"""

import struct
from collections.abc import Iterator

_HEADER = b"VP8X"
_METADATA = (b"EXIF", b"XMP ")
_HAS_EXIF, _HAS_XMP, _HAS_ALPHA = 0x08, 0x04, 0x10
_START_CODE = b"\x9d\x01\x2a"  # of a VP8 key frame
_LOSSLESS = 0x2F


class WebpError(ValueError):
    """A WebP file that cannot be read."""


def metadata_of(content: bytes) -> tuple[bytes, bytes]:
    """The EXIF block and the XMP packet of a file, b"" where there is none.

    Raises:
        WebpError: it is no whole WebP.
    """
    found = {kind: body for kind, body in reversed(list(_chunks(content))) if kind in _METADATA}
    return found.get(b"EXIF", b"").removeprefix(b"Exif\0\0"), found.get(b"XMP ", b"")


def with_metadata(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The file with that EXIF block and XMP packet in place of its own.

    Raises:
        WebpError: it is no whole WebP.
    """
    kept = [(kind, body) for kind, body in _chunks(content) if kind not in _METADATA]
    if kept[0][0] != _HEADER:
        kept.insert(0, (_HEADER, _header_of(*kept[0])))
    header = bytearray(kept[0][1])
    header[0] |= _HAS_EXIF | _HAS_XMP
    return _file([(_HEADER, bytes(header)), *kept[1:], (b"EXIF", exif), (b"XMP ", xmp)])


def image_bytes(content: bytes) -> bytes:
    """Every chunk but metadata and the header that names it: what decides the pixels."""
    kept = _chunks(content)
    return _file([(kind, body) for kind, body in kept if kind not in {_HEADER, *_METADATA}])


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each chunk."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        raise WebpError("it is no WebP")
    end = 8 + struct.unpack_from("<I", content, 4)[0]
    if end > len(content) or end <= 12:  # noqa: PLR2004
        raise WebpError(f"it is no whole WebP: it says {end} bytes and has {len(content)}")
    at = 12
    while at < end:
        if at + 8 > end:
            raise WebpError(f"it is no whole WebP: the chunk at byte {at} is cut off")
        kind, length = struct.unpack_from("<4sI", content, at)
        if at + 8 + length > end:
            raise WebpError(f"it is no whole WebP: the chunk at byte {at} is cut off")
        yield kind, content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _header_of(kind: bytes, body: bytes) -> bytes:
    """The extended header of a simple file's only chunk: flags, width - 1, height - 1."""
    flags = 0
    if kind == b"VP8 " and body[3:6] == _START_CODE and len(body) >= 10:  # noqa: PLR2004
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", body, 6))
    elif kind == b"VP8L" and body[:1] == bytes([_LOSSLESS]) and len(body) >= 5:  # noqa: PLR2004
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = _HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        raise WebpError(f"it is no WebP that can be read: its first chunk is {kind!r}")
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([flags, 0, 0, 0]) + sizes
