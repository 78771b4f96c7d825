"""From an image in any form to the pixels a model reads, the same way wherever one is read.

`load_image` is the one place that opens images, so training, features, serving and a path, bytes
or array given by a user all see the same RGB. What stays out: augmentation (no stage uses any) and
tensors (callers wrap the arrays; this module needs no torch).
"""

import hashlib
import io
import json
import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from finecap.data.image_files import image_bytes, image_stat
from finecap.data.records import Record
from finecap.log import Log

ImageSource = Path | str | bytes | npt.NDArray[np.generic] | Image.Image
"""What `load_image` takes: a file, its content, an array (H, W[, C]) or a Pillow image."""

# Named, because Pillow would otherwise also try formats that call other programs (EPS).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

_CHUNK = 128  # of a table's images, that a thread resizes at a time
_TABLE_VERSION = 2  # raise it when the same image would give other pixels


class ImageError(ValueError):
    """Something that is no readable image."""


@dataclass(frozen=True)
class Resizing:
    """How an image of any shape becomes a square; names as in open_clip's preprocess config."""

    mode: Literal["shortest", "squash"] = "shortest"
    """`shortest`: scaled by its shorter side, centre square kept; `squash`: stretched to fit."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


CLIP_RESIZING = Resizing()


@dataclass(frozen=True)
class Look:
    """What a row of pixels looks like."""

    size: int
    resizing: Resizing = CLIP_RESIZING


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
        return _as_rgb(source, "image")
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
    Mean and std are the model's, so normalisation is too: an image read alone and its row of a
    `pixel_table` are then equal bytes.

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


def pixel_table(
    folder: Path,
    records: Sequence[Record],
    size: int,
    destination: Path,
    log: Log,
    resizing: Resizing = CLIP_RESIZING,
) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """All images resized, uint8 (N, size, size, 3), read-only and memory-mapped.

    Written once to the file `destination` (`.npy`), with a `.npy.json` beside it that names what it
    was made from; a later call with the same images (name, bytes on disk, time of change), size and
    resizing opens it. Two processes may build it at once: each writes its own file, the last rename
    stays.

    Args:
        folder: the data folder that `Record.image` is relative to.
        records: N; row i is the image of record i.
        size: side, pixels.
        destination: the `.npy` file; its folder must exist.
        log: receives progress.
        resizing: how an image becomes a square.

    Raises:
        ImageError: an image does not decode; names the file.
        OSError: no space left; nothing half-written remains.
    """
    look = Look(size, resizing)
    key = images_key(folder, records, [look])
    sidecar = _sidecar(destination)
    if not (destination.is_file() and _sidecar_key(sidecar) == key):
        _write_table(folder, records, look, destination, log)
        _write_text(sidecar, json.dumps({"key": key, "images": len(records), "size": size}))
    return cast(
        "np.memmap[tuple[int, ...], np.dtype[np.uint8]]", np.load(destination, mmap_mode="r")
    )


def pixel_batches(
    folder: Path, records: Sequence[Record], looks: Sequence[Look], batch_size: int
) -> Generator[list[npt.NDArray[np.uint8]]]:
    """The records' images in order, batch by batch: of each look an array (B, size, size, 3).

    Each image is decoded once. Threads share the cores, as Pillow frees the GIL, and decode a few
    batches ahead of whoever reads, never more: memory does not grow with the number of images.

    Raises:
        FileNotFoundError: there is no such image.
        ImageError: an image does not decode; names the file.
    """

    def batch(start: int) -> list[npt.NDArray[np.uint8]]:
        return _rows(folder, records[start : start + batch_size], looks)

    threads = os.cpu_count() or 1
    waiting: deque[Future[list[npt.NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(records), batch_size):
                waiting.append(pool.submit(batch, start))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after a failure the remaining batches would be work for nothing
            pool.shutdown(wait=True, cancel_futures=True)


def images_key(folder: Path, records: Sequence[Record], looks: Sequence[Look]) -> str:
    """md5 over what pixels depend on: the files as they lie on disk, in order, and the looks.

    Raises:
        FileNotFoundError: there is no such image.
    """
    said = " ".join([str(_TABLE_VERSION), *map(str, looks)])
    digest = hashlib.md5(said.encode(), usedforsecurity=False)
    for record in records:
        size, mtime_ns = image_stat(folder / record.image)
        digest.update(f"\n{record.image}\t{size}\t{mtime_ns}".encode())
    return digest.hexdigest()


def _rows(
    folder: Path, records: Sequence[Record], looks: Sequence[Look]
) -> list[npt.NDArray[np.uint8]]:
    """The images of these records, of each look an array (B, size, size, 3)."""
    rows = [np.empty((len(records), it.size, it.size, 3), dtype=np.uint8) for it in looks]
    for number, record in enumerate(records):
        image = load_image(folder / record.image)
        for own, look in zip(rows, looks, strict=True):
            own[number] = to_pixels(image, look.size, look.resizing)
    return rows


def _decoded(content: bytes, name: str) -> Image.Image:
    """The image in a file's content; `name` is for messages."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _as_rgb(image, name)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds on broken bytes
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} does not decode: {reason}; replace or remove it") from error


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    """Upright RGB of any mode Pillow knows."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _eight_bit(image, name)
    if image.mode == "F":
        raise ImageError(f"{name} has float pixels, expected 8 or 16 bits a channel")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


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


def _write_table(
    folder: Path, records: Sequence[Record], look: Look, destination: Path, log: Log
) -> None:
    """Write the `.npy` through ordinary writes.

    A memory map would be sparse until filled, and a full disk would then kill the process (SIGBUS)
    where a write raises.
    """
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.partial")
    shape = (len(records), look.size, look.size, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    done, step = 0, max(1, len(records) // 5)
    try:
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for [rows] in pixel_batches(folder, records, [look], _CHUNK):
                file.write(rows.data)
                if done // step != (done + len(rows)) // step:
                    log(f"resized {done + len(rows)} of {len(records)} images to {look.size} px")
                done += len(rows)
        # Without its sidecar a table counts as absent, so a crash between the two is harmless.
        _sidecar(destination).unlink(missing_ok=True)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def _sidecar(destination: Path) -> Path:
    return destination.with_name(destination.name + ".json")


def _sidecar_key(sidecar: Path) -> str | None:
    """The key of a finished table, or None."""
    try:
        return json.loads(sidecar.read_text()).get("key")
    except (FileNotFoundError, json.JSONDecodeError, AttributeError):
        return None


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text)
    partial.replace(path)
