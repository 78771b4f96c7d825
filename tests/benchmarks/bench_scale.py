"""What one image more costs, in CPU seconds of one core: the slopes of `dagster_project.scale`.

Encoders are CLIP ViT-B/32 with random weights, photos 640 by 480 JPEG of noise, captions those of
the benchmark of search. An index is built at two sizes, and its slope is what the rows between them
cost; PostgreSQL's is its server's share and the builder's together, with and without HNSW.
"""

import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.benchmarks.bench_search import DIMS, _built, drawn_captions, unit_vectors
from tests.benchmarks.measure import cpu_seconds, cpu_seconds_once, use_threads

IMAGES, TEXTS, TURNS = 8, 32, 40
_START = """
import finecap.models.torchvision_shim, dagster_project.definitions, mlflow, finecap.models.export
import finecap.search.build, open_clip
open_clip.create_model("ViT-B-32-quickgelu")
"""
FOLDER_ROWS, DATABASE_ROWS = (20_000, 60_000), (2_000, 6_000)


def run() -> dict[str, object]:
    """CPU seconds of an image, and of a row, by what is done."""
    figures: dict[str, object] = {**encoded(), **started()}
    figures["folder_row_s"], figures["folder_row_bytes"] = _slope(_folder, FOLDER_ROWS)
    for name, exact_up_to in (("exact", 10**9), ("hnsw", 100)):
        cost = _slope(lambda rows, limit=exact_up_to: _database(rows, limit), DATABASE_ROWS)
        figures[f"postgres_{name}_row_s"], figures[f"postgres_{name}_row_bytes"] = cost
    return figures


def encoded() -> dict[str, float]:
    """What decoding and the two towers take."""
    import open_clip
    import torch
    from PIL import Image

    import finecap.models.torchvision_shim  # noqa: F401  before torchvision, which open_clip imports
    from finecap.data.transforms import load_image

    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    model = open_clip.create_model("ViT-B-32-quickgelu").eval()
    pixels, words = torch.zeros(IMAGES, 3, 224, 224), torch.ones(TEXTS, 77, dtype=torch.long)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        photo, buffer = Path(folder) / "photo.jpg", io.BytesIO()
        Image.fromarray(noise).save(buffer, format="JPEG")
        photo.write_bytes(buffer.getvalue())
        return {
            "decode_image_s": cpu_seconds(lambda: load_image(photo).resize((224, 224))),
            "encode_image_s": cpu_seconds(lambda: model.encode_image(pixels)) / IMAGES,
            "encode_text_s": cpu_seconds(lambda: model.encode_text(words)) / TEXTS,
        }


def started() -> dict[str, float]:
    """How much the same images' time differs, and what comes before the first of them."""
    import finecap.models.torchvision_shim  # noqa: F401  as above

    use_threads(1)
    import open_clip
    import torch

    model = open_clip.create_model("ViT-B-32-quickgelu").eval()
    pixels = torch.zeros(IMAGES, 3, 224, 224)
    with torch.inference_mode():
        turns = [cpu_seconds_once(lambda: model.encode_image(pixels)) for _ in range(TURNS + 1)]
    before = _of_children()
    subprocess.run([sys.executable, "-c", _START], check=True)
    mean = statistics.mean(turns[1:])  # the first warms up
    return {
        "spread": statistics.stdev(turns[1:]) / mean,
        "start_s": _of_children() - before,
    }


def _of_children() -> float:
    """CPU seconds of processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _slope(
    build: Callable[[int], tuple[float, float]], sizes: tuple[int, int]
) -> tuple[float, float]:
    """CPU seconds and bytes of one row more."""
    (small_s, small), (large_s, large) = (build(rows) for rows in sizes)
    more = sizes[1] - sizes[0]
    return (large_s - small_s) / more, (large - small) / more


def _folder(rows: int) -> tuple[float, float]:
    """CPU seconds and bytes of an index in a folder."""
    with tempfile.TemporaryDirectory(prefix="finecap-bench-") as folder:
        place = Path(folder)
        figures, build = _built(place, drawn_captions(rows), unit_vectors(rows, DIMS))
        sealed = (place / "index" / "builds" / build).rglob("*")
        size = sum(path.stat().st_size for path in sealed if path.is_file())
        return float(str(figures["build_cpu_s"])), size


def _database(rows: int, exact_up_to: int) -> tuple[float, float]:
    """CPU seconds, of builder and server, and bytes of an index in PostgreSQL."""
    import psutil

    from finecap.search import engines
    from finecap.search.postgres import PostgresIndex
    from tests.dagster_project.own_postgres import running
    from tests.finecap.search.postgres_server import bytes_of

    def opened(url: str) -> PostgresIndex:
        return PostgresIndex(url, exact_up_to=exact_up_to)

    with running() as own, tempfile.TemporaryDirectory() as folder:
        server = psutil.Process(int((own.folder / "postmaster.pid").read_text().split()[0]))
        url, before = own.url("postgres"), _spent(server)
        with (
            patch.dict(os.environ, {engines.URL_VARIABLE: url}),
            patch.object(engines, "_postgres", opened),
        ):
            figures, _ = _built(Path(folder), drawn_captions(rows), unit_vectors(rows, DIMS))
        return float(str(figures["build_cpu_s"])) + _spent(server) - before, bytes_of(url)


def _spent(server: object) -> float:
    """CPU seconds of a server and of all its processes, those that have ended included."""
    import psutil

    assert isinstance(server, psutil.Process)
    time.sleep(1.0)  # connections that were closed end, and are counted by their parent
    times = server.cpu_times()
    ended = times.user + times.system + times.children_user + times.children_system
    return ended + sum(
        sum(child.cpu_times()[:2]) for child in server.children() if child.is_running()
    )
