"""Frozen image features on disk: grid cells for the captioner, unit vectors for the reward.

Written once per encoder and data version, read by memory map, so that no stage after this one opens
an image. `rows.parquet` says which row is which image, and is written last.

Images go from their files through the encoder to disk, some batches ahead and none behind: memory
does not grow with their number. Shard by shard what is written is safe from a kill (`row_files`),
and a later attempt goes on there. Its bytes are those of a straight run on the same machine, as
batches begin at the same rows.
"""

import errno
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from finecap.config import FeaturesConfig
from finecap.data.pixels import Look, images_key, pixel_batches
from finecap.data.records import Record
from finecap.log import Log
from finecap.models.captioner import Captioner
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device, moved
from finecap.models.folder import CONFIG, WEIGHTS, ModelFolderError
from finecap.models.row_files import PROGRESS, RowFiles

PIXELS = "image_pixels.npy"
_ROWS = "rows.parquet"


@dataclass(frozen=True)
class Features:
    """Features of N images, row by row."""

    rows: pd.DataFrame  # image, split
    grid: np.ndarray  # (N, P, C) float16, memory-mapped
    vectors: np.ndarray  # (N, D) float32, unit length, memory-mapped
    pixels: np.ndarray | None = None  # (N, H, W, 3) uint8, memory-mapped

    def positions(self, images: Sequence[str]) -> np.ndarray:
        """Row numbers of `images`.

        Raises:
            KeyError: an image that was not extracted, by name.
        """
        index = pd.Index(self.rows["image"]).get_indexer(pd.Index(list(images)))
        if (index < 0).any():
            missing = images[int(np.argmin(index))]
            raise KeyError(f"no features of {missing}; extract them again with this image included")
        return index

    def grid_of(self, positions: np.ndarray, device: torch.device | None = None) -> Tensor:
        """Grid cells (B, P, C) as float32, on the CPU or on `device`; they travel as float16."""
        halves = torch.from_numpy(np.asarray(self.grid[positions]))
        return (halves if device is None else moved(halves, device)).float()

    def inputs_of(self, captioner: Captioner, positions: np.ndarray) -> Tensor:
        """What `captioner` reads of these images: grid cells, or pixel values.

        Raises:
            ValueError: it reads pixels, and none of its size were kept.
        """
        if captioner.image_size is None:
            return self.grid_of(positions, captioner.device)
        kept = 0 if self.pixels is None else self.pixels.shape[1]
        if self.pixels is None or kept != captioner.image_size:
            raise ValueError(
                f"the captioner reads images of {captioner.image_size} px, the features hold "
                f"{f'pixels of {kept} px' if kept else 'no pixels'}; set `features.pixel_size: "
                f"{captioner.image_size}` and extract them again"
            )
        return captioner.pixel_values(np.asarray(self.pixels[positions])).to(captioner.device)

    def vectors_of(self, positions: np.ndarray) -> Tensor:
        """Unit vectors (B, D)."""
        return torch.from_numpy(np.asarray(self.vectors[positions]))


def open_features(folder: Path) -> Features:
    """The features written into `folder`.

    Raises:
        ModelFolderError: a file is missing or of another length.
    """
    try:
        rows = pd.read_parquet(folder / _ROWS)
        grid = np.load(folder / "grid.npy", mmap_mode="r")
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        pixels = np.load(folder / PIXELS, mmap_mode="r") if (folder / PIXELS).is_file() else None
    except FileNotFoundError as error:
        raise ModelFolderError(f"{folder}: incomplete features ({error}); extract again") from error
    found = {"rows": rows, "grids": grid, "vectors": vectors}
    found |= {} if pixels is None else {"pixels": pixels}
    if len({len(part) for part in found.values()}) > 1:
        lengths = ", ".join(f"{len(part)} {name}" for name, part in found.items())
        raise ModelFolderError(f"{folder}: {lengths}; expected one of each per image")
    return Features(rows, grid, vectors, pixels)


def extract(
    folder: Path,
    records: Sequence[Record],
    encoder: Path,
    config: FeaturesConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
) -> dict[str, float]:
    """Write grid features and unit vectors of the captioner's images, and of all of val and test.

    Args:
        folder: the data folder that records' image paths are relative to.
        records: the validated records.
        encoder: folder of the encoder.
        config: which part of train to keep, sizes of batches and shards.
        destination: empty folder to write into.
        log: progress.
        checkpoints: where features grow until all are there, so that extraction can go on after an
            end by force; None: in `destination`.

    Raises:
        FileNotFoundError: an image is not there.
        ImageError: an image does not decode.
        ModelFolderError: `checkpoints` has less than was safe there.
        OSError: no space left; what was safe in `checkpoints` stays.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    kept = [r for r in records if r.split != "train" or config.part in {"", r.part}]
    if not kept:
        raise ValueError("no images to extract features of: the part and splits chosen are empty")
    model = load_encoder(encoder).to(best_device())
    looks = [Look(model.config.image_size, model.resizing)]
    looks += [Look(config.pixel_size)] if config.pixel_size else []
    key = f"{images_key(folder, kept, looks)} {_encoder_key(encoder)} {config.batch_size}"
    growing = checkpoints or destination
    with RowFiles(growing, key, len(kept)) as files:
        _grow(files, model, folder, kept, looks, config, log)
    rows = pd.DataFrame({"image": [r.image for r in kept], "split": [r.split for r in kept]})
    rows.to_parquet(growing / _ROWS)
    _hand_over(growing, destination)
    return {"images": len(kept)}


@torch.no_grad()
def _grow(
    files: RowFiles,
    model: ClipEncoder,
    folder: Path,
    kept: Sequence[Record],
    looks: Sequence[Look],
    config: FeaturesConfig,
    log: Log,
) -> None:
    """Run the image tower over the rows that are not safe yet."""
    N, size = len(kept), config.batch_size
    per_shard = -(-config.shard_images // size)  # batches
    if files.done:
        log(f"features: going on after {files.done} of {N} images")
    batches = pixel_batches(folder, kept[files.done :], looks, size)
    try:
        for number, pixels in enumerate(batches, files.done // size + 1):
            files.append(_seen(model, pixels))
            if files.written == N or number % per_shard == 0:
                files.commit()
                log(f"features {files.done}/{N}")
    finally:
        batches.close()  # its threads would decode on


def _seen(model: ClipEncoder, pixels: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
    """A batch as the files have it: grid (B, P, C), vectors (B, D), pixels kept (B, H, W, 3)."""
    seen = model.image_forward(model.pixel_values(pixels[0]))
    rows = {
        "grid": seen.grid.cpu().numpy().astype(np.float16),
        "vectors": seen.features.cpu().numpy().astype(np.float32),
    }
    return rows | {Path(PIXELS).stem: own for own in pixels[1:]}


def _hand_over(growing: Path, destination: Path) -> None:
    """The finished files to where they belong, the rows last, which make them features.

    Linked before they are removed: whoever is killed here finds all of it again.
    """
    files = [*sorted(growing.glob("*.npy")), growing / _ROWS]
    if growing != destination:
        for file in files:
            _linked(file, destination / file.name)
    (growing / PROGRESS).unlink()
    if growing != destination:
        for file in files:
            file.unlink()


def _linked(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.ENOTSUP}:
            raise
        shutil.copyfile(file, target)  # another disk, or one without links


def _encoder_key(encoder: Path) -> str:
    """Over the encoder's files."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in (CONFIG, WEIGHTS):
        with (encoder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "md5").digest())
    return digest.hexdigest()
