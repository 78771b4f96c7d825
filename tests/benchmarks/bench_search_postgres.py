"""Search in PostgreSQL, 200,000 x 512: asked are p50/p99 of 12/30 ms by picture, 15/40 by both.

With recall@10 of 0.95 at least, unfiltered and under filters that leave 0.1, 1, 12 and 90 % of the
rows. Captions and queries are `bench_search`'s. Vectors have a variance that falls as 1/k over the
directions, nearer to what a trained encoder gives than random directions, of which HNSW finds too
few: those are scanned, and what that takes is `exact`, measured on the same rows. Milliseconds are
processor time of server and client together, one thread each. The server keeps 1 GB of pages in
memory (`shared_buffers`, of which its manual advises a quarter of the machine's), not 128 MB.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import psycopg

from finecap.log import print_log
from finecap.search.attributes import attributes_of
from finecap.search.index import Manifest, ModelReference, Row, SearchRequest
from finecap.search.postgres import PostgresIndex
from finecap.search.query import Filter, Has, Not
from tests.benchmarks.bench_search import (
    DIMS,
    TOP,
    VECTORS,
    drawn_captions,
    noisy,
    queries,
)

Q = TypeVar("Q")

_BUILD = "b"
_BATCH = 1_000
_ASKED = 100
_SAME = 1e-4
"""Cosines closer than this count as one: vectors are stored in half precision."""
_SHARES = {"tiny": 0.001, "hundredth": 0.01, "eighth": 0.12, "tenth": 0.1}
"""Share of the rows that each split has; the rest is in none."""
_FILTERS: dict[str, Filter] = {
    "0.1": Has("split", "tiny"),
    "1": Has("split", "hundredth"),
    "12": Has("split", "eighth"),
    "90": Not(Has("split", "tenth")),
}
"""Filters by the per cent of rows that they leave."""
_ALONE = "-c max_parallel_workers_per_gather=0 -c max_parallel_maintenance_workers=0"


def run(rows: int = VECTORS) -> dict[str, object]:
    """Build times, milliseconds of every kind of question, and recall."""
    from tests.finecap.search.postgres_server import running_server

    figures: dict[str, object] = {"rows": rows}
    os.environ["PGOPTIONS"] = _ALONE
    with running_server() as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '1GB'")
        server.kill()
        server.restart()
        world = _World(server.migrated(), drawn_captions(rows), encoder_vectors(rows, DIMS))
        for part in (_built, _asked):
            for name, value in part(world).items():
                print_log(f"{name} {value}")
                figures[name] = value
        world.index.close()
    return figures


@dataclass
class _World:
    """A database, what is put in it, and whom to ask."""

    url: str
    said: Sequence[str]
    vectors: np.ndarray  # (N, D)
    pids: list[int] = field(init=False)  # of the server's processes that serve it
    splits: np.ndarray = field(init=False)  # (N,)
    index: PostgresIndex = field(init=False)

    def __post_init__(self) -> None:
        shares = [*_SHARES.values(), 1 - sum(_SHARES.values())]
        draw = np.random.default_rng(3)
        self.splits = draw.choice([*_SHARES, ""], size=len(self.said), p=shares)
        self.index = PostgresIndex(self.url)

    def rows(self) -> Iterator[Row]:
        """One by one."""
        for row, (caption, split) in enumerate(zip(self.said, self.splits, strict=True)):
            image = f"images/{row:07d}.png"
            yield Row(
                image, image, caption, self.vectors[row], attributes_of(caption), str(split), "1"
            )

    def cpu_s(self) -> float:
        """Processor time so far, of this process and of the server's that serve it."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        self.pids = [pid for (pid,) in found]
        return self.ticks()

    def ticks(self) -> float:
        """`cpu_s` of the server's processes that were there when it was asked."""
        stats = [Path(f"/proc/{pid}/schedstat").read_text() for pid in self.pids]
        return time.process_time() + sum(int(stat.split()[0]) for stat in stats) / 1e9


def _built(world: _World) -> dict[str, object]:
    """Fill and finish a build."""
    model = ModelReference(name="m", version="1", path="model")
    stated = Manifest(
        build_id=_BUILD, captioner=model, encoder=model, data_md5="d", dims=world.vectors.shape[1],
        rows=len(world.said), created_at="2026",
    )  # fmt: skip
    started = time.perf_counter()
    world.index.create(stated)
    cpu = world.cpu_s()
    rows, batch = world.rows(), list[Row]()
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            world.index.upsert(_BUILD, batch)
            batch = []
    world.index.upsert(_BUILD, batch)
    filled, filled_cpu = time.perf_counter(), world.ticks()
    sealed = world.index.finish(_BUILD, lambda _: 1.0)
    return {
        "fill_s": filled - started,
        "fill_cpu_s": filled_cpu - cpu,
        "finish_s": time.perf_counter() - filled,
        "finish_cpu_s": world.ticks() - filled_cpu,
        "vectors": sealed.parameters["vectors"],
        "ef_search": sealed.parameters.get("hnsw_ef_search", "none"),
    }


def _asked(world: _World) -> dict[str, object]:
    """Milliseconds of each kind of question, then recall under each filter."""
    index, asked = world.index, noisy(world.vectors)[:_ASKED]
    texts = queries(world.said)[:_ASKED]
    pairs = list(zip(texts, asked, strict=True))
    red = Has("colour", "red")

    def ask(**wanted: object) -> object:
        return index.search(SearchRequest(**wanted), _BUILD)  # pyright: ignore

    figures = _timed(world, "words", lambda text: ask(text=text), texts)
    figures |= _timed(world, "words_filtered", lambda text: ask(text=text, filter=red), texts)
    figures |= _timed(world, "facets", lambda text: index.facets(None, text, _BUILD), texts[:50])
    figures |= _timed(world, "picture", lambda v: ask(vector=v), asked)
    figures |= _timed(world, "exact", partial(_scanned, world), asked[:30])
    figures |= _timed(world, "hybrid", lambda pair: ask(text=pair[0], vector=pair[1]), pairs)
    figures |= {"recall": _recall(world, asked, None)}
    for share, left in _FILTERS.items():
        figures |= _timed(
            world, f"picture_{share}", lambda v, f=left: ask(vector=v, filter=f), asked
        )
        figures |= {f"recall_{share}": _recall(world, asked, left)}
    return figures


def _scanned(world: _World, vector: np.ndarray) -> object:
    """The ten nearest by the exact scan, whatever the engine would do."""
    with world.index._reading(_BUILD) as build:  # its connection's time is what is measured
        return build.scanned(vector, TOP)


def _recall(world: _World, asked: Sequence[np.ndarray], left: Filter | None) -> float:
    """Share of the ten truly nearest of the rows that pass, mean over queries."""
    passing = np.flatnonzero(_mask(world, left))
    found = 0
    for query in asked:
        scores = world.vectors @ query  # (N,)
        tenth = np.sort(scores[passing])[-TOP]
        hits = world.index.search(SearchRequest(vector=query, filter=left, limit=TOP), _BUILD)
        rows = [int(hit.image.removeprefix("images/")[:7]) for hit in hits]
        found += sum(bool(scores[row] >= tenth - _SAME) for row in rows)
    return found / (TOP * len(asked))


def _mask(world: _World, left: Filter | None) -> np.ndarray:
    """Which rows pass, (N,)."""
    match left:
        case Has(_, value):
            return world.splits == value
        case Not(Has(_, value)):
            return world.splits != value
        case _:
            return np.ones(len(world.said), bool)


def _timed(
    world: _World, name: str, search: Callable[[Q], object], asked: Sequence[Q]
) -> dict[str, object]:
    """Percentiles over the queries, each asked once after ten that warm up."""
    for query in asked[:10]:
        search(query)
    world.cpu_s()
    cpu, wall = zip(*(_one(world, search, query) for query in asked), strict=True)
    p50, p99 = np.percentile(cpu, [50, 99])
    return {
        f"{name}_p50_ms": float(p50),
        f"{name}_p99_ms": float(p99),
        f"{name}_p50_wall_ms": float(np.median(wall)),
    }


def _one(world: _World, search: Callable[[Q], object], query: Q) -> tuple[float, float]:
    """Milliseconds of processor and of the clock."""
    started, cpu = time.perf_counter(), world.ticks()
    search(query)
    return 1e3 * (world.ticks() - cpu), 1e3 * (time.perf_counter() - started)


def encoder_vectors(rows: int, dims: int) -> np.ndarray:
    """Unit vectors, (N, D), whose k-th direction has 1/k of the first one's variance."""
    draw = np.random.default_rng(4)
    vectors = draw.standard_normal((rows, dims), dtype=np.float32)
    vectors /= np.sqrt(np.arange(1, dims + 1, dtype=np.float32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
