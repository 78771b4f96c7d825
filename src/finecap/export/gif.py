"""GIF files cut into blocks: an XMP packet and a comment put in, every other block kept.

GIF89a specification, sections 23-26; XMP as XMP part 3, section 1.1.2: the packet lies in an
application extension as it is, not in pieces, and a trailer after it leads programs that count
pieces to its end. Frames are never decoded, so neither pixels nor times can change. A GIF has no
EXIF; the comment stands in for its description, and a comment that others wrote stays.
"""

from collections.abc import Iterator
from typing import NamedTuple

from finecap.export import xmp as packets

_SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION, _CONTROL, _PLAIN_TEXT = 0xFE, 0xFF, 0xF9, 0x01
_XMP = b"\x21\xff\x0bXMP DataXMP"
_XMP_END = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_PIECE = 255  # bytes


class GifError(ValueError):
    """A GIF file that cannot be read."""


class _Block(NamedTuple):
    """One block of the file."""

    label: int  # an extension's own, else the block's
    content: bytes


def metadata_of(content: bytes) -> tuple[bytes, bytes]:
    """The comment that belongs to the XMP packet, and the packet; b"" where there is none.

    Raises:
        GifError: it is no whole GIF.
        XmpError: its packet is no XML.
    """
    _, _, comment, packet = _parts(content)
    return comment, packet


def with_metadata(content: bytes, description: bytes, xmp: bytes) -> bytes:
    """The file with that description as a comment, and that XMP packet, in place of its own.

    Raises:
        GifError: it is no whole GIF.
        XmpError: its packet is no XML.
    """
    head, blocks, _, _ = _parts(content)
    shown = (_CONTROL, _PLAIN_TEXT, _IMAGE, _TRAILER)
    at = next(i for i, block in enumerate(blocks) if block.label in shown)  # before any frame
    before, after = (b"".join(b.content for b in part) for part in (blocks[:at], blocks[at:]))
    comment = bytes((_EXTENSION, _COMMENT)) + _pieces(description) if description else b""
    head = _SIGNATURES[1] + head[len(_SIGNATURES[1]) :]  # extensions came with 89a
    return head + before + _XMP + xmp + _XMP_END + comment + after


def image_bytes(content: bytes) -> bytes:
    """Every block but the packet and its comment: all frames, their times, and what others said."""
    head, blocks, _, _ = _parts(content)
    return head[len(_SIGNATURES[0]) :] + b"".join(block.content for block in blocks)


def _parts(content: bytes) -> tuple[bytes, list[_Block], bytes, bytes]:
    """What comes before the blocks, the blocks but ours, our comment, and the packet.

    Ours is a comment right behind a packet that says the same.
    """
    head, *blocks = _blocks(content)
    kept, comment, packet, said = list[_Block](), b"", b"", b""
    for block in blocks:
        if block.content.startswith(_XMP):
            packet = _packet(block.content)
            said = packets.description_of(packet).encode()
        elif said and block.label == _COMMENT and _joined(block.content[2:]) == said:
            comment, said = said, b""
        else:
            kept.append(block)
            said = b""
    return head.content, kept, comment, packet


def _blocks(content: bytes) -> Iterator[_Block]:
    """The header with its colours, then each block; what lies behind the trailer is part of it."""
    if content[:6] not in _SIGNATURES:
        raise GifError(f"it is no GIF: it begins with {content[:6]!r}")
    at = 13 + _colours(content, 10)
    yield _Block(0, content[:at])
    while True:
        kind = _byte(content, at)
        if kind == _TRAILER:
            yield _Block(_TRAILER, content[at:])
            return
        if kind == _IMAGE:
            label, end = _IMAGE, at + 10 + _colours(content, at + 9) + 1
        elif kind == _EXTENSION:
            label, end = _byte(content, at + 1), at + 2
        else:
            raise GifError(f"it is no whole GIF: no block begins at byte {at}")
        while size := _byte(content, end):
            end += 1 + size
        yield _Block(label, content[at : end + 1])
        at = end + 1


def _colours(content: bytes, at: int) -> int:
    """Bytes of the colour table that the flags in this byte announce."""
    flags = _byte(content, at)
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _byte(content: bytes, at: int) -> int:
    if at >= len(content):
        raise GifError("it is no whole GIF: it ends before its trailer")
    return content[at]


def _packet(block: bytes) -> bytes:
    """The packet of an XMP block; some programs wrote it in pieces."""
    body = block[len(_XMP) :]
    return body.removesuffix(_XMP_END) if body.endswith(_XMP_END) else _joined(body)


def _pieces(text: bytes) -> bytes:
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def _joined(pieces: bytes) -> bytes:
    text, at = b"", 0
    while size := pieces[at]:
        text += pieces[at + 1 : at + 1 + size]
        at += 1 + size
    return text
