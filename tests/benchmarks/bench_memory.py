"""Memory from tars to training: asked is that it stays flat as the number of images grows.

Images of 32 x 32, each of its own, with two captions, in WebDataset's tars. They are imported with
`--in-shards --parquet`, validated with their pixels, their features extracted, and read as training
does, at random: `streamed` as an encoder with `pixels: stream`, each image decoded from its tar;
`drawn` as a captioner, rows of the features. Each step in a process of its own;
`peak_gb_<step>_<images>` is all of the process, `bytes_per_image_<step>` what one image more costs,
`seconds_*` processor time of all.
Steps that hold records hold .87 kB of each (`bench_records`), so flat means: that, and little more
(at 100,000 the largest, features read in random order, .65 GB, of which .53 at 10,000).

`python -m tests.benchmarks.bench_memory 1000000` measures other sizes: 40 minutes, 4 GB of disk.
"""

import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import peak_gb

SIZES = (10_000, 100_000)
_HELD_OUT = 500  # images of val, and of test, whatever the number
_SHARD = 10_000  # images
_WORDS = ("a", "the", "red", "blue", "boat", "house", "dog", "cat", "on", "near", "sea", "field")


def run(sizes: Sequence[int] = SIZES) -> dict[str, object]:
    """Peak memory of each step and size, and what an image more costs."""
    figures: dict[str, object] = {}
    peaks: dict[tuple[str, int], float] = {}
    for n in sizes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            written(folder / "shards", n)
            for step in (imported, validated, extracted, streamed, drawn):
                name = step.__name__
                peaks[name, n] = figures[f"peak_gb_{name}_{n}"] = peak_gb(step, folder)
                figures[f"seconds_{name}_{n}"] = float((folder / "seconds").read_text())
    for step in dict.fromkeys(name for name, _ in peaks):
        grown = (peaks[step, sizes[-1]] - peaks[step, sizes[0]]) * 1e9
        if len(sizes) > 1:
            figures[f"bytes_per_image_{step}"] = grown / (sizes[-1] - sizes[0])
    return figures


def imported(folder: Path) -> None:
    """The tars become a data folder, and their images stay in them."""
    from finecap.config import ImportConfig
    from finecap.data.importers import import_dataset
    from finecap.log import silent

    config = ImportConfig(in_shards=True, parquet=True, link=True)
    import_dataset("webdataset", folder / "shards", folder / "data", silent, config)
    _timed(folder)


def validated(folder: Path) -> None:
    """Every line and image is judged."""
    from finecap.config import ValidationConfig
    from finecap.data.expectations import validate
    from finecap.log import silent

    (folder / "verdict").mkdir()
    validate(folder / "data", ValidationConfig(), folder / "verdict", silent)
    _timed(folder)


def extracted(folder: Path) -> None:
    """Features of all images, by a small encoder with random weights."""
    from finecap.config import FeaturesConfig
    from finecap.data.records import read_records
    from finecap.data.tokenizer import WordTokenizer
    from finecap.log import silent
    from finecap.models.clip import ClipEncoder
    from finecap.models.features import extract

    for name in ("encoder", "features"):
        (folder / name).mkdir()
    ClipEncoder(_small(), WordTokenizer.build(_WORDS, 1)).save(folder / "encoder")
    records = read_records(_good(folder))
    config = FeaturesConfig(part="")
    extract(folder / "data", records, folder / "encoder", config, folder / "features", silent)
    _timed(folder)


def streamed(folder: Path) -> None:
    """An encoder's batches of one epoch: images drawn at random, each decoded from its tar."""
    from finecap.data.pixels import Look, PixelRows
    from finecap.data.records import read_records

    records = read_records(_good(folder))
    images = PixelRows(folder / "data", records, Look(32))
    for rows in np.array_split(
        np.random.default_rng(0).permutation(len(records)), len(records) // 128
    ):
        images[rows]
    _timed(folder)


def drawn(folder: Path) -> None:
    """A captioner's batches of one epoch: features of records drawn at random."""
    from finecap.data.records import read_records
    from finecap.models.features import open_features

    records = [record for record in read_records(_good(folder)) if record.split == "train"]
    seen = open_features(folder / "features")
    positions = seen.positions([record.image for record in records])
    for rows in np.array_split(np.random.default_rng(0).permutation(positions), len(records) // 50):
        seen.grid_of(rows)
    _timed(folder)


def written(folder: Path, n: int) -> None:
    """So many images in tars, which are called by their splits."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("val", _HELD_OUT), ("test", _HELD_OUT), ("train", n - 2 * _HELD_OUT)):
        for start in range(0, count, _SHARD):
            shard = folder / f"{split}-{start // _SHARD:05}.tar"
            with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
                for number in range(start, min(start + _SHARD, count)):
                    _add(tar, f"{number:09}.jpg", _picture(rng))
                    _add(tar, f"{number:09}.txt", _captions(rng).encode())


def _picture(rng: np.random.Generator) -> bytes:
    """Blots that no other picture has."""
    from PIL import Image

    blots = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    content = io.BytesIO()
    blots.resize((32, 32), Image.Resampling.BILINEAR).save(content, "JPEG", quality=80)
    return content.getvalue()


def _captions(rng: np.random.Generator) -> str:
    return "\n".join(" ".join(rng.choice(_WORDS, 8)) for _ in range(2))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
    tar.members.clear()  # it keeps every header otherwise


def _small():
    """An encoder that costs little."""
    from finecap.config import ClipConfig

    return ClipConfig.model_validate(
        {
            "embed_dim": 16, "image_size": 32, "image_width": 8, "text_width": 16, "text_heads": 2,
            "text_layers": 1, "context_length": 12, "text": "captions", "part": "",
        }
    )  # fmt: skip


def _good(folder: Path) -> Path:
    """The records that validation let pass."""
    return folder / "verdict" / "records.jsonl"


def _timed(folder: Path) -> None:
    (folder / "seconds").write_text(str(time.process_time()))


if __name__ == "__main__":
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    sys.stdout.write(json.dumps(run(sizes), indent=1) + "\n")
