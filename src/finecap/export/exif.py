"""EXIF as bytes: the description set, and not one other byte of what was there moved.

An EXIF block is a TIFF file: directories of 12-byte entries that point at values by offset. Cameras
write offsets (maker notes) that no library knows, so a block that is parsed and written anew loses
them. Here the first directory is copied to the block's end with the new entry in it, and the header
points there: all else stays where it was.

Exif 2.32 (CIPA DC-008), TIFF 6.0 section 2.
"""

import struct
from dataclasses import dataclass

IMAGE_DESCRIPTION = 0x010E
_ASCII = 2
_ENTRY = 12  # bytes


class ExifError(ValueError):
    """An EXIF block that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """The first directory of a block."""

    start: int  # byte of the block
    order: str  # of bytes, as struct writes it
    entries: tuple[bytes, ...]  # 12 bytes each
    following: bytes  # 4 bytes: where the next directory, a thumbnail's, lies


def with_description(block: bytes, description: str) -> bytes:
    """The EXIF block (TIFF header first) with `ImageDescription`; b"" makes a new block.

    Raises:
        ExifError: the block's first directory cannot be read.
    """
    base = block or b"II*\0" + struct.pack("<IHI", 8, 0, 0)
    directory = _first_directory(base)
    text = description.encode() + b"\0"
    kept = [e for e in directory.entries if _tag(e, directory.order) != IMAGE_DESCRIPTION]
    base = base[: _own_part(base, directory)]
    base += b"\0" * (len(base) % 2)  # values and directories begin on even bytes
    at = len(base)
    stored = text + b"\0" * (len(text) % 2)
    if len(text) <= 4:  # noqa: PLR2004 - a value that fits takes the offset's place
        value, stored = text.ljust(4, b"\0"), b""
    else:
        value = struct.pack(directory.order + "I", at)
    entry = struct.pack(directory.order + "HHI", IMAGE_DESCRIPTION, _ASCII, len(text)) + value
    entries = sorted([*kept, entry], key=lambda e: _tag(e, directory.order))
    written = struct.pack(directory.order + "H", len(entries)) + b"".join(entries)
    offset = struct.pack(directory.order + "I", at + len(stored))
    return base[:4] + offset + base[8:] + stored + written + directory.following


def _first_directory(block: bytes) -> _Directory:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:  # noqa: PLR2004 - the header
        raise ExifError(f"its EXIF begins with {block[:4]!r}, expected II*\\0 or MM\\0*")
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        raise ExifError("its EXIF points past its end")
    (count,) = struct.unpack_from(order + "H", block, start)
    stop = start + 2 + count * _ENTRY
    if stop > len(block):
        raise ExifError("its EXIF's first directory is cut off")
    entries = tuple(block[at : at + _ENTRY] for at in range(start + 2, stop, _ENTRY))
    return _Directory(start, order, entries, block[stop : stop + 4].ljust(4, b"\0"))


def _own_part(block: bytes, directory: _Directory) -> int:
    """Where an earlier description and the directory after it begin, if they end the block."""
    start, order = directory.start, directory.order
    if start + 2 + len(directory.entries) * _ENTRY + 4 != len(block):
        return len(block)
    for entry in directory.entries:
        _, kind, count, value = struct.unpack(order + "HHII", entry)
        is_description = _tag(entry, order) == IMAGE_DESCRIPTION and kind == _ASCII
        if is_description and count > 4 and value + count + count % 2 == start:  # noqa: PLR2004
            return value
    return len(block)


def _tag(entry: bytes, order: str) -> int:
    return int(struct.unpack_from(order + "H", entry)[0])
