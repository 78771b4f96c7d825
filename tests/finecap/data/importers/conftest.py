"""Small real photos, each of its own look, and what an import says of them."""

import csv
from itertools import count

import numpy as np
import pytest
from PIL import Image

from finecap.config import ImportConfig
from finecap.data.importers import import_dataset
from finecap.data.records import read_records
from finecap.log import silent


def picture(seed, side=40):
    """Blots of colour at all scales, as photos have them; no two seeds look the same."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells in (2, 4, 8, 16):
        patches = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(patches.resize((side, side), Image.Resampling.BICUBIC), float)
    return Image.fromarray((total / 4).astype(np.uint8))


@pytest.fixture
def photo():
    """photo(path, seed) writes a picture there."""

    def write(path, seed):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path)
        return path

    return write


@pytest.fixture
def photos(photo):
    """photos(folder, *names) writes a picture of its own for each name."""
    seeds = count(100)

    def write(folder, *names):
        for name in names:
            photo(folder / name, next(seeds))

    return write


class Brought:
    """What an import brought in."""

    def __init__(self, report):
        self.report = report
        self.into = report.folder
        self.records = read_records(self.into / "captions.jsonl")

    @property
    def splits(self):
        """Split by file name."""
        return {record.image.rpartition("/")[2]: record.split for record in self.records}

    @property
    def captions(self):
        """Captions by image."""
        return {record.image: record.captions for record in self.records}

    @property
    def faults(self):
        """Rows of the report: (image, kind, reason)."""
        with (self.into / "import-report.csv").open(newline="") as file:
            return [(row["image"], row["kind"], row["reason"]) for row in csv.DictReader(file)]


@pytest.fixture
def bring(tmp_path):
    """bring(kind, source, **settings) imports into `tmp_path/data`."""

    def run(kind, source, **settings):
        config = ImportConfig(**settings)
        return Brought(import_dataset(kind, source, tmp_path / "data", silent, config))

    return run
