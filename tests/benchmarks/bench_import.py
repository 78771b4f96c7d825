"""Import of a stream: asked is memory that stays flat as the number of images grows.

Tiny pictures in WebDataset shards of 10,000, without splits: near-duplicates are looked for among
all. Each size in a process of its own; seconds are processor time of all threads. `bytes_per_image`
is what memory grows by from the first to the last size: name, md5 and likeness stay in memory.
"""

import io
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.measure import peak_gb

SIZES = (1_000, 10_000, 100_000)
SHARD = 10_000
SIDE = 16  # pixels


def run() -> dict[str, object]:
    """CPU seconds and peak memory of each size, and bytes per image that memory grows by."""
    figures: dict[str, object] = {}
    for n in SIZES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for start in range(0, n, SHARD):
                _write(folder / "shards" / f"{start // SHARD:05}.tar", start, min(n, start + SHARD))
            figures[f"peak_gb_{n}"] = peak_gb(imported, folder)
            figures[f"seconds_{n}"] = float((folder / "seconds").read_text())
    grown = float(str(figures[f"peak_gb_{SIZES[-1]}"])) - float(str(figures[f"peak_gb_{SIZES[0]}"]))
    figures["bytes_per_image"] = grown * 1e9 / (SIZES[-1] - SIZES[0])
    return figures


def imported(folder: Path) -> None:
    """Import the shards; leave the seconds beside them."""
    from finecap.data.importers import import_dataset
    from finecap.log import silent

    started = time.process_time()
    import_dataset("webdataset", folder / "shards", folder / "data", silent)
    (folder / "seconds").write_text(str(time.process_time() - started))


def _write(path: Path, start: int, end: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in range(start, end):
            pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
            content = io.BytesIO()
            Image.fromarray(pixels).resize((SIDE, SIDE)).save(content, "PNG")
            for suffix, data in (("png", content.getvalue()), ("txt", b"a boat on the sea")):
                info = tarfile.TarInfo(f"{number:09}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
