"""Indexed-colour PNG files with stored (uncompressed) deflate, written by a few lines of ours.

Why not Pillow: its zlib differs between builds, and so would the bytes of the data set. A stored
stream has one possible form. Reading is left to whoever reads images.

Source: W3C "Portable Network Graphics (PNG) Specification (Third Edition)"; RFC 1950, RFC 1951.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65_535  # bytes, the most one stored block can hold


def encode(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG file.

    Args:
        indices: (H, W), each a row of the palette.
        palette: (N, 3) sRGB, 1 to 256 rows.

    Raises:
        ValueError: shapes, or an index beyond the palette.
    """
    if indices.ndim != 2 or palette.ndim != 2 or palette.shape[1] != 3:  # noqa: PLR2004
        raise ValueError(
            f"expected indices (H, W) and palette (N, 3), came: {indices.shape}, {palette.shape}"
        )
    if not int(indices.max()) < len(palette) <= 256:  # noqa: PLR2004
        raise ValueError(f"index {indices.max()} with a palette of {len(palette)} colours")
    height, width = indices.shape
    # Depth 8, colour type 3 (indexed), deflate, adaptive filtering, no interlace.
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # first column: filter type 0, none
    rows[:, 1:] = indices
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", _stored(rows.tobytes())),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Length, kind, content and checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _stored(content: bytes) -> bytes:
    """A zlib stream of stored blocks."""
    stream = [b"\x78\x01"]
    for start in range(0, len(content), _BLOCK):
        block = content[start : start + _BLOCK]
        last = start + _BLOCK >= len(content)
        stream.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF))
        stream.append(block)
    stream.append(struct.pack(">I", zlib.adler32(content)))
    return b"".join(stream)
