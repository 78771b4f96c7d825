"""TIFF as bytes: values of its first directory set, and not one other byte of the file moved.

A TIFF file is directories of 12-byte entries that point at values by offset. Cameras and scanners
write offsets (maker notes, tiles, pages) that no library knows all of, so a file that is parsed and
written anew loses some. Here the first directory is copied to the file's end with the new entries
in it, behind their values, and the header points there: all else stays where it was, and with it
every strip, tile and page. An EXIF block is such a file too (`exif.py`).

TIFF 6.0, section 2; XMP as XMP part 3, section 1.1.6 (tag 700).
"""

import struct
from collections.abc import Mapping, Set
from dataclasses import dataclass

IMAGE_DESCRIPTION, XMP = 0x010E, 0x02BC
BYTE, ASCII, _SHORT = 1, 2, 3
EMPTY = b"II*\0" + struct.pack("<IHI", 8, 0, 0)
"""A file that holds nothing."""

_OURS = frozenset({IMAGE_DESCRIPTION, XMP})
_ENTRY, _INLINE, _MOST = 12, 4, 0xFFFF_FFFF  # bytes: an entry, a value in its place, a file
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_PIXELS = ((273, 279), (324, 325))  # offsets and lengths of strips, of tiles
_MARK = b"finecap\0"
"""Stands before what was appended here, so that another caption takes its place."""
_LAYOUTS = (b"ImageJ=", b"<?xml", b'{"shape"')
"""What begins a description that microscopes' programs read the order of planes from."""


class TiffError(ValueError):
    """A TIFF file that cannot be read, or cannot hold what should be put in."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """One directory of a file: of a page, or of a thumbnail."""

    start: int  # byte of the file
    order: str  # of bytes, as struct writes it
    entries: tuple[bytes, ...]  # 12 bytes each
    following: bytes  # 4 bytes: where the next directory, a page's or a thumbnail's, lies


def metadata_of(content: bytes) -> tuple[bytes, bytes]:
    """The description and the XMP packet of a file's first page, b"" where there is none.

    Raises:
        TiffError: its first directory cannot be read.
    """
    directory = _first_directory(content)
    description = _value(content, directory, IMAGE_DESCRIPTION).rstrip(b"\0")
    return description, _value(content, directory, XMP)


def with_metadata(content: bytes, description: bytes, xmp: bytes) -> bytes:
    """The file with that description and XMP packet in place of its first page's.

    Raises:
        TiffError: it is no whole TIFF, its description is one that programs read the order of its
            planes from, or the file would be too large.
    """
    _check_whole(content)
    before, _ = metadata_of(content)
    if before.startswith(_LAYOUTS):
        raise TiffError(
            f"its ImageDescription ({before[:20]!r}...) tells programs how its planes lie, and a "
            "caption would take its place"
        )
    values = {IMAGE_DESCRIPTION: (ASCII, description + b"\0"), XMP: (BYTE, xmp)}
    return with_values(content, values)


def image_bytes(content: bytes) -> bytes:
    """Everything but the description and the packet: what decides the pixels, and all else."""
    directory = _first_directory(content)
    body = _even(content[: _own_part(content, directory, _OURS)])
    return body[:4] + body[8:] + b"".join(_kept(directory, _OURS)) + directory.following


def with_values(content: bytes, values: Mapping[int, tuple[int, bytes]]) -> bytes:
    """The file whose first directory has these values: tag to (kind, bytes).

    Raises:
        TiffError: the first directory cannot be read, or the file would be too large.
    """
    directory = _first_directory(content)
    order, entries = directory.order, _kept(directory, values.keys())
    appended = _even(content[: _own_part(content, directory, values.keys())])[8:] + _MARK
    for tag, (kind, value) in values.items():
        place = value.ljust(_INLINE, b"\0")
        if len(value) > _INLINE:
            place = struct.pack(order + "I", _checked(8 + len(appended)))
            appended = _even(appended + value)
        count = len(value) // _SIZES[kind]
        entries.append(struct.pack(order + "HHI", tag, kind, count) + place)
    entries.sort(key=lambda entry: _tag(entry, order))
    written = struct.pack(order + "H", len(entries)) + b"".join(entries) + directory.following
    start = struct.pack(order + "I", _checked(8 + len(appended)))
    return content[:4] + start + appended + written


def _check_whole(content: bytes) -> None:
    """Refuse a file that ends before its pixels do: what is appended would be read as pixels.

    Raises:
        TiffError: it does, or a page's directory cannot be read.
    """
    directory = _first_directory(content)
    order, seen = directory.order, {directory.start}
    while True:
        for places, lengths in _PIXELS:
            begins, counts = (_numbers(content, directory, tag) for tag in (places, lengths))
            if any(at + size > len(content) for at, size in zip(begins, counts, strict=False)):
                raise TiffError("it is no whole TIFF: its pixels are cut off")
        (start,) = struct.unpack(order + "I", directory.following)
        if not start or start in seen:  # a circle, which readers leave as they do
            return
        seen.add(start)
        directory = _directory(content, start, order)


def _numbers(content: bytes, directory: _Directory, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag's value; none where there is no such tag."""
    value = _value(content, directory, tag)
    kinds = [e[2:4] for e in directory.entries if _tag(e, directory.order) == tag]
    is_short = bool(kinds) and struct.unpack(directory.order + "H", kinds[0])[0] == _SHORT
    count, letter = (len(value) // 2, "H") if is_short else (len(value) // 4, "I")
    return struct.unpack_from(f"{directory.order}{count}{letter}", value)


def _first_directory(content: bytes) -> _Directory:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if content[:4] in {b"II+\0", b"MM\0+"}:
        raise TiffError("it is a BigTIFF, of which only the reading is common")
    if order is None or len(content) < 8:  # noqa: PLR2004 - the header
        raise TiffError(f"it begins with {content[:4]!r}, expected II*\\0 or MM\\0*")
    (start,) = struct.unpack_from(order + "I", content, 4)
    return _directory(content, start, order)


def _directory(content: bytes, start: int, order: str) -> _Directory:
    if start + 2 > len(content):
        raise TiffError("it points past its end")
    (count,) = struct.unpack_from(order + "H", content, start)
    stop = start + 2 + count * _ENTRY
    if stop > len(content):
        raise TiffError("a directory of it is cut off")
    entries = tuple(content[at : at + _ENTRY] for at in range(start + 2, stop, _ENTRY))
    return _Directory(start, order, entries, content[stop : stop + 4].ljust(4, b"\0"))


def _own_part(content: bytes, directory: _Directory, tags: Set[int]) -> int:
    """Where that begins which was appended here for these tags; the end where nothing was."""
    start = directory.start
    if start + 2 + len(directory.entries) * _ENTRY + 4 != len(content):
        return len(content)
    ours = [
        _span(e, directory.order) for e in directory.entries if _tag(e, directory.order) in tags
    ]
    starts = {end + end % 2: begin for begin, end in ours if end - begin > _INLINE}
    at = start
    while content[at - len(_MARK) : at] != _MARK:
        if at not in starts:
            return len(content)
        at = starts.pop(at)
    return at - len(_MARK)


def _kept(directory: _Directory, tags: Set[int]) -> list[bytes]:
    return [e for e in directory.entries if _tag(e, directory.order) not in tags]


def _value(content: bytes, directory: _Directory, tag: int) -> bytes:
    """The bytes of a tag's value; b"" where there is no such tag."""
    for entry in directory.entries:
        if _tag(entry, directory.order) == tag:
            begin, end = _span(entry, directory.order)
            if end - begin <= _INLINE:
                return entry[8 : 8 + end - begin]
            if end > len(content):
                raise TiffError(f"the value of its tag {tag} is cut off")
            return content[begin:end]
    return b""


def _span(entry: bytes, order: str) -> tuple[int, int]:
    """First and last byte of an entry's value, if it were not in the entry itself."""
    _, kind, count, value = struct.unpack(order + "HHII", entry)
    return value, value + count * _SIZES.get(kind, 1)


def _tag(entry: bytes, order: str) -> int:
    return int(struct.unpack_from(order + "H", entry)[0])


def _even(content: bytes) -> bytes:
    """Values and directories begin on even bytes."""
    return content + b"\0" * (len(content) % 2)


def _checked(offset: int) -> int:
    if offset > _MOST:
        raise TiffError("with a caption it would be larger than the 4 GiB that TIFF can point at")
    return offset
