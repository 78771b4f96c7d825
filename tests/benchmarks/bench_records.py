"""Records in memory and through it: asked is memory that stays flat as their number grows.

Records of five captions of ten words, in lines of JSON and in Parquet shards, each size and form in
a process of its own. `streamed_*` goes through all and keeps none, as what writes or counts them
does; `kept_*` is a list of all, which stages that draw at random hold: `bytes_per_record_*` is what
one more costs. Files lie in the folder for temporary ones, 500 MB at most.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import peak_gb

SIZES = (10_000, 100_000, 1_000_000)
_WORDS = ("a", "the", "red", "blue", "boat", "house", "dog", "cat", "on", "near", "sea", "field")
_SPLITS = ("train", "train", "train", "train", "val", "test")


def run() -> dict[str, object]:
    """Peak memory of each form and size, and what a record costs."""
    figures: dict[str, object] = {}
    for form in ("jsonl", "parquet"):
        peaks: dict[tuple[str, int], float] = {}
        for n in SIZES:
            with tempfile.TemporaryDirectory() as place:
                path = Path(place) / "captions"
                written(path, n, form)
                for name, work in (("streamed", streamed), ("kept", kept)):
                    peaks[name, n] = figures[f"{name}_gb_{form}_{n}"] = peak_gb(work, path)
        for name in ("streamed", "kept"):
            grown = (peaks[name, SIZES[-1]] - peaks[name, SIZES[0]]) * 1e9
            figures[f"bytes_per_record_{name}_{form}"] = grown / (SIZES[-1] - SIZES[0])
    return figures


def streamed(path: Path) -> None:
    """Go through all records."""
    from finecap.data.records import iter_records

    assert sum(len(record.captions) for record in iter_records(path))


def kept(path: Path) -> None:
    """Hold all records."""
    from finecap.data.records import read_records

    read_records(path)


def written(path: Path, n: int, form: str) -> None:
    """So many records at `path`."""
    from finecap.data.record_shards import write_shards
    from finecap.data.records import write_records

    write = write_records if form == "jsonl" else write_shards
    write(path, _records(n))


def _records(n: int) -> "Iterator":
    from finecap.data.records import Record

    rng = random.Random(0)  # noqa: S311 - words of a benchmark
    for number in range(n):
        captions = tuple(" ".join(rng.choices(_WORDS, k=10)) for _ in range(5))
        yield Record(f"images/{number:08}.jpg", _SPLITS[number % len(_SPLITS)], captions)
