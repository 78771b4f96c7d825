"""Whether an EXIF block is well-formed: a camera's notes decide which way up a picture is read.

Decoders pass over a broken block each in its own way, so that the same file stands upright in one
program and lies on its side in another. Format: TIFF 6.0, section 2, and EXIF 2.32. What stays out:
what the notes say, apart from the two blocks that others hang on.
"""

import struct

_PREFIX = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
"""Bytes of one value, by the type's number; 129 is UTF-8 text, of EXIF 3.0."""
_ENTRY = 12  # bytes
_INNER = (0x8769, 0x8825)  # tags: the camera's block, the place's


def exif_fault(block: bytes) -> str | None:
    r"""Why an EXIF block cannot be read; None where it can, or is empty.

    >>> exif_fault(b""), exif_fault(b"II*\0\x08\0\0\0\0\0")
    (None, None)
    >>> exif_fault(b"II*\0\xff\0\0\0")
    'a directory at byte 255 of 8'
    """
    content = block.removeprefix(_PREFIX)
    if not content:
        return None
    order = _ORDERS.get(content[:4])
    if order is None or len(content) < 8:  # noqa: PLR2004 - the header's size
        return f"no TIFF header: begins with {content[:4]!r}"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    inner: list[int] = []
    fault = _directory_fault(content, order, start, inner)
    for offset in inner:
        fault = fault or _directory_fault(content, order, offset, [])
    return fault


def _directory_fault(content: bytes, order: str, start: int, inner: list[int]) -> str | None:
    """Why the directory at `start` cannot be read; directories that hang on it go to `inner`."""
    if start + 2 > len(content):
        return f"a directory at byte {start} of {len(content)}"
    (count,) = struct.unpack_from(f"{order}H", content, start)
    if start + 2 + count * _ENTRY > len(content):
        return f"a directory of {count} entries at byte {start} of {len(content)}"
    for number in range(count):
        place = start + 2 + number * _ENTRY
        tag, kind, length, value = struct.unpack_from(f"{order}HHII", content, place)
        if kind not in _SIZES:
            return f"tag {tag:#06x} is of unknown type {kind}"
        size = _SIZES[kind] * length
        if size > 4 and value + size > len(content):  # noqa: PLR2004 - up to 4 bytes stand inside
            return f"tag {tag:#06x} has {size} bytes at byte {value} of {len(content)}"
        if tag in _INNER:
            inner.append(value)
    return None
