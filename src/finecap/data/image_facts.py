"""What image files show before any model looks: do they decode, how large, which bytes, how alike.

One read of each file gives all of it. What stays out: judging these facts (`suite`) and turning
images into model input (`transforms`).
"""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from finecap.data.exif import exif_fault
from finecap.data.image_files import image_bytes
from finecap.data.image_formats import open_image
from finecap.data.likeness import likeness

_CHUNK = 256  # images a thread reads at a time
_LEVELS = np.arange(256, dtype=np.float64)
_DRAFT = (128, 128)  # a JPEG is decoded at the smallest scale not below this


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One file; `missing` or `decode_error` says why the rest is None."""

    missing: str | None = None
    decode_error: str | None = None
    exif_error: str | None = None
    width: int | None = None  # pixels, as stored: before any EXIF rotation
    height: int | None = None
    spread: float | None = None  # of the colour channel that varies most: levels of 255
    md5: str | None = None  # of the file's bytes
    likeness: bytes | None = None
    format: str | None = None  # Pillow's name


def image_facts(folder: Path, images: Sequence[str]) -> list[ImageFacts]:
    """The facts of each image of `folder`, in order.

    Threads suffice, as reading, md5 and decoding free the GIL; processes would be faster but cannot
    be started from every executor's worker.
    """
    starts = range(0, len(images), _CHUNK)

    def chunk(start: int) -> list[ImageFacts]:
        return [_facts(folder, image) for image in images[start : start + _CHUNK]]

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        quiet_warnings()
        return [facts for part in pool.map(chunk, starts) for facts in part]


def quiet_warnings() -> None:
    """Inside `catch_warnings`: pass over what Pillow warns of; the facts say it."""
    # Large pictures are judged by `max_side`; Pillow still refuses decompression bombs.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    # Of broken EXIF and TIFF tags: `exif_error`.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


def facts_of(content: bytes) -> ImageFacts:
    """The facts of an image file's content."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    try:
        # `verify` checks what decoding passes over (checksums), and leaves the image unusable.
        with open_image(content) as image:
            image.verify()
        with open_image(content) as image:
            width, height = image.size
            image.draft("RGB", _DRAFT)  # of a JPEG all data is read, but less of it computed
            image.load()
            exif_error = exif_fault(image.info.get("exif", b""))
            rgb = (image if exif_error else ImageOps.exif_transpose(image)).convert("RGB")
            return ImageFacts(
                exif_error=exif_error,
                width=width,
                height=height,
                spread=_spread(rgb),
                md5=md5,
                likeness=likeness(rgb),
                format=image.format,
            )
    except Exception as error:  # noqa: BLE001 - any failure of a decoder is the fact looked for
        return ImageFacts(decode_error=str(error) or type(error).__name__, md5=md5)


def _spread(rgb: Image.Image) -> float:
    """Standard deviation of the channel that varies most, by histogram: ten times as fast."""
    counts = np.array(rgb.histogram(), dtype=np.float64).reshape(3, 256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    means = shares @ _LEVELS
    return float(np.sqrt(np.maximum(shares @ _LEVELS**2 - means**2, 0)).max())


def _facts(folder: Path, image_name: str) -> ImageFacts:
    try:
        content = image_bytes(folder / image_name)
    except FileNotFoundError:
        return ImageFacts(missing=f"{image_name} does not exist in the folder")
    except OSError as error:
        return ImageFacts(missing=f"{image_name} cannot be read: {error.strerror}")
    return facts_of(content)
