"""Frozen image features on disk: grid cells for the captioner, unit vectors for the reward.

Written once per encoder and data version, read by memory map, so that no stage after this one opens
an image. `rows.parquet` says which row is which image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from finecap.config import FeaturesConfig
from finecap.data.records import Record
from finecap.data.transforms import pixel_table
from finecap.log import Log
from finecap.models.captioner import Captioner
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device, moved
from finecap.models.folder import ModelFolderError

PIXELS = "image_pixels.npy"


@dataclass(frozen=True)
class Features:
    """Features of N images, row by row."""

    rows: pd.DataFrame  # image, split
    grid: np.ndarray  # (N, P, C) float16, memory-mapped
    vectors: np.ndarray  # (N, D) float32, unit length
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
        rows = pd.read_parquet(folder / "rows.parquet")
        grid = np.load(folder / "grid.npy", mmap_mode="r")
        vectors = np.load(folder / "vectors.npy")
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
) -> dict[str, float]:
    """Write grid features and unit vectors of the captioner's images, and of all of val and test.

    Args:
        folder: the data folder that records' image paths are relative to.
        records: the validated records.
        encoder: folder of the encoder.
        config: which part of train to keep, batch size.
        destination: empty folder to write into.
        log: progress.
    """
    kept = [r for r in records if r.split != "train" or config.part in {"", r.part}]
    pixels_file = destination / "pixels.npy"
    model = load_encoder(encoder).to(best_device())
    size = model.config.image_size
    pixels = pixel_table(folder, kept, size, pixels_file, log, model.resizing)
    _write(model, pixels, config.batch_size, destination, log)
    rows = pd.DataFrame({"image": [r.image for r in kept], "split": [r.split for r in kept]})
    rows.to_parquet(destination / "rows.parquet")
    del pixels
    if config.pixel_size:
        pixel_table(folder, kept, config.pixel_size, destination / PIXELS, log)
    for leftover in destination.glob("pixels.npy*"):  # features replace the pixels
        leftover.unlink()
    return {"images": len(kept)}


@torch.no_grad()
def _write(
    model: ClipEncoder, pixels: np.ndarray, batch_size: int, destination: Path, log: Log
) -> None:
    """Run the image tower over all rows, grid straight to the memory map."""
    N = len(pixels)
    grid: np.ndarray | None = None
    vectors = np.zeros((N, model.dim), dtype=np.float32)
    partial = destination / "grid.npy.partial"
    for start in range(0, N, batch_size):
        seen = model.image_forward(
            model.pixel_values(np.asarray(pixels[start : start + batch_size]))
        )
        if grid is None:
            shape = (N, *seen.grid.shape[1:])
            grid = np.lib.format.open_memmap(partial, "w+", dtype=np.float16, shape=shape)
        grid[start : start + len(seen.grid)] = seen.grid.cpu().numpy().astype(np.float16)
        vectors[start : start + len(seen.grid)] = seen.features.cpu().numpy()
        if start // batch_size % 10 == 0:
            log(f"features {start}/{N}")
    if grid is None:
        raise ValueError("no images to extract features of: the part and splits chosen are empty")
    grid.flush()
    partial.replace(destination / "grid.npy")
    np.save(destination / "vectors.npy", vectors)
