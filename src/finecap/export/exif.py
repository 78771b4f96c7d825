"""EXIF's description: an EXIF block is a TIFF file (`tiff.py`), in which nothing else moves.

Exif 2.32 (CIPA DC-008), section 4.5.
"""

from finecap.export import tiff


class ExifError(ValueError):
    """An EXIF block that cannot be read."""


def with_description(block: bytes, description: str) -> bytes:
    """The EXIF block (TIFF header first) with `ImageDescription`; b"" makes a new block.

    Raises:
        ExifError: the block's first directory cannot be read.
    """
    text = description.encode() + b"\0"
    try:
        return tiff.with_values(block or tiff.EMPTY, {tiff.IMAGE_DESCRIPTION: (tiff.ASCII, text)})
    except tiff.TiffError as error:
        raise ExifError(f"its EXIF cannot be read: {error}") from error
