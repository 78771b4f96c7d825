"""Captions written into copies of their images, where photo software and file managers read them.

XMP `dc:description` and EXIF `ImageDescription`, in JPEG, PNG, WebP, TIFF (whose own tags EXIF's
are) and GIF (whose comment stands in for EXIF). A copy differs from its image in these two blocks
(and in what points at them) alone, and that is checked on each, with the caption read back, before
it is written. Images of other kinds are named in the report and not copied.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from finecap.data.image_files import image_bytes
from finecap.export import exif, gif, jpeg, png, tiff, webp, xmp
from finecap.log import Log
from finecap.search.index import Row

_SAY_EVERY = 500


class _Kind(Protocol):
    """What each format's module does; of a file's two blocks the second is its XMP packet."""

    def metadata_of(self, content: bytes, /) -> tuple[bytes, bytes]: ...
    def with_metadata(self, content: bytes, first: bytes, xmp: bytes, /) -> bytes: ...
    def image_bytes(self, content: bytes, /) -> bytes: ...


_KINDS: dict[bytes, _Kind] = {
    b"\xff\xd8": jpeg, b"\x89P": png, b"RI": webp, b"II": tiff, b"MM": tiff, b"GI": gif,
}  # fmt: skip
_PLAIN: tuple[_Kind, ...] = (tiff, gif)
"""Kinds whose first block is the description itself, not an EXIF block that holds it."""
_UNREADABLE = (
    jpeg.JpegError, png.PngError, webp.WebpError, tiff.TiffError, gif.GifError,
    exif.ExifError, xmp.XmpError,
)  # fmt: skip


class EmbedError(ValueError):
    """Captions cannot be embedded as asked."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was written, and what was not, with the reason."""

    written: int
    skipped: tuple[tuple[str, str], ...]  # (image, reason)


def with_caption(content: bytes, caption: str) -> bytes:
    """The image file with the caption in its metadata, every other byte as it was.

    Raises:
        EmbedError: it is of no kind that can hold a caption, or its metadata cannot be read.
    """
    kind = _KINDS.get(content[:2])
    if kind is None:
        raise EmbedError("it is neither JPEG, PNG, WebP, TIFF nor GIF")
    said = xmp.description_of(xmp.with_description(b"", caption))
    try:
        block, packet = kind.metadata_of(content)
        told = said.encode() if kind in _PLAIN else exif.with_description(block, caption)
        written = kind.with_metadata(content, told, xmp.with_description(packet, caption))
        read = xmp.description_of(kind.metadata_of(written)[1])
        is_same = kind.image_bytes(written) == kind.image_bytes(content)
    except _UNREADABLE as error:
        raise EmbedError(str(error)) from error
    if not is_same or read != said:
        raise EmbedError("what was written does not read back as it should")
    return written


def embed_captions(rows: Iterable[Row], root: Path, destination: Path, log: Log) -> Embedded:
    """Copies of the rows' images with their captions inside, below `destination` by their keys.

    Args:
        rows: of the index.
        root: folder that their paths are relative to.
        destination: folder; files of those names in it are replaced.
        log: told of progress.

    Raises:
        EmbedError: a copy would replace its own image, or a key leads out of the folder.
    """
    written, skipped = 0, list[tuple[str, str]]()
    for row in rows:
        source, copy = root / row.path, _copy_of(row, destination)
        if copy.exists() and source.exists() and copy.samefile(source):
            raise EmbedError(f"{copy} is the image itself: name another folder for the copies")
        try:
            content = with_caption(image_bytes(source), row.caption)
        except (EmbedError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            skipped.append((row.image, reason or str(error)))
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.partial")
        partial.write_bytes(content)
        partial.replace(copy)
        written += 1
        if written % _SAY_EVERY == 0:
            log(f"embedded {written} captions")
    return Embedded(written, tuple(skipped))


def _copy_of(row: Row, destination: Path) -> Path:
    key = PurePosixPath(row.image)
    if key.is_absolute() or ".." in key.parts:
        raise EmbedError(f"image key {row.image!r} leads out of the folder, expected a name in it")
    return destination / key
