"""A small, real data folder that tests spoil one way at a time."""

import json

import numpy as np
import pytest
from PIL import Image


class DataFolder:
    """Twelve 40 px images in three splits, and ways to spoil them."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "images").mkdir(parents=True)
        rng = np.random.default_rng(0)
        splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
        self.rows = [
            {"image": f"images/{n:02}.png", "split": split, "captions": ["a boat", "the sea"]}
            for n, split in enumerate(splits)
        ]
        for number, row in enumerate(self.rows):
            if row["split"] == "train":
                row["part"] = "clip" if number < 5 else "judge"
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / row["image"])

    def image(self, number):
        return self.folder / self.rows[number]["image"]

    def write(self, *more_lines):
        lines = [json.dumps(row) for row in self.rows] + list(more_lines)
        (self.folder / "captions.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path):
    return DataFolder(tmp_path / "data")
