"""From an image in any form to the pixels a model reads, the same way wherever one is read.

`load_image` is the one place that opens images, so training, features, serving and a path, bytes
or array given by a user all see the same RGB. What stays out: augmentation (no stage uses any),
many images at once (`pixels`) and tensors (callers wrap the arrays; this module needs no torch).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from finecap.data.image_files import image_bytes
from finecap.data.image_formats import open_image

ImageSource = Path | str | bytes | npt.NDArray[np.generic] | Image.Image
"""What `load_image` takes: a file, its content, an array (H, W[, C]) or a Pillow image."""


class ImageError(ValueError):
    """Something that is no readable image."""


@dataclass(frozen=True)
class Resizing:
    """How an image of any shape becomes a square; names as in open_clip's preprocess config."""

    mode: Literal["shortest", "squash"] = "shortest"
    """`shortest`: scaled by its shorter side, centre square kept; `squash`: stretched to fit."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


CLIP_RESIZING = Resizing()
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def load_image(source: ImageSource) -> Image.Image:
    """The image as upright 8-bit RGB; transparency is laid over white.

    Args:
        source: a file, its bytes, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4) of uint8, uint16 (full range) or floats in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        ShardError: the tar it is in is broken.
        ImageError: it is no image, or a broken one; names the file.
    """
    if isinstance(source, Image.Image):
        return _as_rgb(ImageOps.exif_transpose(source), "image")
    if isinstance(source, np.ndarray):
        return _as_rgb(_from_array(source), "array")
    if isinstance(source, bytes):
        return _decoded(source, f"image of {len(source)} bytes")
    path = Path(source)
    return _decoded(image_bytes(path), f"image {path}")


def to_pixels(
    image: Image.Image, size: int, resizing: Resizing = CLIP_RESIZING
) -> npt.NDArray[np.uint8]:
    """The image at `size` x `size`, uint8 (size, size, 3); by default its centre square.

    Antialiased, and within one level of 255 of what torchvision's `Resize` and `CenterCrop` give.
    Mean and std are the model's, so normalisation is too: an image read alone and its row of
    `pixels` are then equal bytes.

    Args:
        image: RGB.
        size: side, pixels.
        resizing: how it becomes a square.
    """
    if image.size == (size, size):
        return np.array(image)
    box = None if resizing.mode == "squash" else _centre_square(image.size, size)
    return np.array(image.resize((size, size), _FILTERS[resizing.interpolation], box=box))


def _centre_square(shape: tuple[int, int], size: int) -> tuple[float, float, float, float]:
    """What a resize to `size` by the shorter side and a centre crop show of an image of `shape`.

    In pixels of the image. Whole pixels of the resized image are cut off, as CLIP's transform does,
    though it never exists here: of a panorama it would be huge.
    """
    shorter = min(shape)
    resized = [int(size * side / shorter) for side in shape]
    starts = [round((side - size) / 2) for side in resized]
    (left, top), (x, y) = starts, (side / new for side, new in zip(shape, resized, strict=True))
    return left * x, top * y, (left + size) * x, (top + size) * y


def _decoded(content: bytes, name: str) -> Image.Image:
    """The image in a file's content; `name` is for messages."""
    try:
        with open_image(content) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _as_rgb(image, name)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds on broken bytes
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} does not decode: {reason}; replace or remove it") from error


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    """RGB of any mode Pillow knows."""
    if image.mode.startswith("I"):
        image = _eight_bit(image, name)
    if image.mode == "F":
        raise ImageError(f"{name} has float pixels, expected 8 or 16 bits a channel")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies RGB too


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    """A 16-bit greyscale image by its high bytes (Pillow's own conversion clips at 255)."""
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
        raise ImageError(f"{name} has 32-bit pixels, expected 8 or 16 bits a channel")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _from_array(array: npt.NDArray[np.generic]) -> Image.Image:
    """A Pillow image of an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."""
    flat = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array  # noqa: PLR2004 - (H, W, 1)
    good_shape = flat.ndim == 2 or (flat.ndim == 3 and flat.shape[2] in {3, 4})  # noqa: PLR2004 - (H, W), (H, W, C)
    if not good_shape or 0 in flat.shape:
        raise ImageError(f"array has the shape {array.shape}, expected (H, W), (H, W, 3 or 4)")
    if flat.dtype == np.uint16:
        return Image.fromarray((flat.astype(np.uint16) >> 8).astype(np.uint8))
    if np.issubdtype(flat.dtype, np.floating):
        values = flat.astype(np.float64)
        if not (values.min() >= 0.0 and values.max() <= 1.0):
            raise ImageError("array of floats leaves [0, 1], expected that range (or uint8)")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if flat.dtype != np.uint8:
        raise ImageError(f"array is {flat.dtype}, expected uint8, uint16 or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(flat.astype(np.uint8)))
