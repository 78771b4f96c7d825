"""The pixels of many records' images: in turn, by row, or as a table on disk; equal bytes in each.

`pixel_batches` goes through all images once, `PixelRows` decodes any rows whenever they are asked
for, and `pixel_table` keeps all of them resized, which is fastest where rows are read again and
again and takes 150 kB an image at 224 px. What stays out: one image (`transforms`).
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from finecap.data.image_files import image_stat
from finecap.data.records import Record
from finecap.data.transforms import CLIP_RESIZING, Resizing, load_image, to_pixels
from finecap.log import Log

_CHUNK = 128  # of a table's images, that a thread resizes at a time
_TABLE_VERSION = 2  # raise it when the same image would give other pixels


@dataclass(frozen=True)
class Look:
    """What a row of pixels looks like."""

    size: int
    resizing: Resizing = CLIP_RESIZING


class Pixels(Protocol):
    """Resized images by row, (N, size, size, 3)."""

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[np.uint8]:
        """Those rows, uint8 (B, size, size, 3)."""
        ...


class PixelRows:
    """Images decoded when their rows are asked for, from files or tars: nothing is kept.

    Args:
        folder: the data folder that `Record.image` is relative to.
        records: N; row i is the image of record i.
        look: of the rows.
    """

    def __init__(self, folder: Path, records: Sequence[Record], look: Look) -> None:
        self._folder, self._records, self._look = folder, records, look

    def __len__(self) -> int:
        """N."""
        return len(self._records)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[np.uint8]:
        """Those rows, uint8 (B, size, size, 3); threads share them.

        Raises:
            FileNotFoundError: there is no such image.
            ImageError: an image does not decode; names the file.
        """
        numbers = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        chosen = [self._records[number] for number in numbers]
        a_share = max(1, -(-len(chosen) // (4 * (os.cpu_count() or 1))))
        parts = [own for [own] in pixel_batches(self._folder, chosen, [self._look], a_share)]
        size = self._look.size
        return np.concatenate(parts) if parts else np.empty((0, size, size, 3), dtype=np.uint8)


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
