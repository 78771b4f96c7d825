"""Validation of records alone: asked is 1,000,000 of them in at most 60 s and 4 GB.

Records of five captions of ten words, `pixels: false`. Each size in a process of its own; seconds
are processor time without the import of Great Expectations, memory is all of the process. Files lie
in the folder for temporary ones, 500 MB at most.
"""

import json
import random
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import peak_gb

SIZES = (10_000, 100_000, 1_000_000)
_WORDS = ("a", "the", "red", "blue", "boat", "house", "dog", "cat", "on", "near", "sea", "field")
_SPLITS = ("train", "train", "train", "train", "val", "test")


def run() -> dict[str, object]:
    """CPU seconds and peak memory of each size."""
    figures: dict[str, object] = {}
    for n in SIZES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            _write(folder / "captions.jsonl", n)
            figures[f"peak_gb_{n}"] = peak_gb(validated, folder)
            figures[f"seconds_{n}"] = float((folder / "seconds").read_text())
    return figures


def validated(folder: Path) -> None:
    """Validate the folder; leave the seconds beside it."""
    from finecap.config import ValidationConfig
    from finecap.data.expectations import validate
    from finecap.data.verdicts import great_expectations
    from finecap.log import silent

    great_expectations()
    started = time.process_time()
    (folder / "verdict").mkdir()
    validate(folder, ValidationConfig(pixels=False), folder / "verdict", silent)
    (folder / "seconds").write_text(str(time.process_time() - started))


def _write(path: Path, n: int) -> None:
    rng = random.Random(0)  # noqa: S311 - words of a benchmark
    with path.open("w") as file:
        for number in range(n):
            captions = [" ".join(rng.choices(_WORDS, k=10)) for _ in range(5)]
            row = {
                "image": f"images/{number:08}.jpg",
                "split": _SPLITS[number % len(_SPLITS)],
                "captions": captions,
            }
            file.write(json.dumps(row) + "\n")
