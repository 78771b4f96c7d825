"""`python -m tests.finecap.search.crash FOLDER URL PHASE SHARE`: a builder that is killed at work.

It makes build `two` beside a live build `one` and makes it live; PHASE is `upsert`, `finish` or
`promote`. A rehearsal on another build counts what the phase does to disk or database; then the
process dies by SIGKILL just before the operation at SHARE (0 to 1) of that count. `full create`,
`full upsert` or `full finish` as PHASE lets no file grow past SHARE bytes from there on, as a full
disk would.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from finecap.search.index import CaptionIndex, Manifest, ModelReference, Row

BATCHES, PER_BATCH = 3, 4


class Deadly:
    """Counts operations, and dies before the one whose turn has come."""

    def __init__(self) -> None:
        self.count = 0
        self.dies_at: int | None = None

    def wrap(self, owner: Any, name: str) -> None:
        operation: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.count == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1
            return operation(*args, **kwargs)

        setattr(owner, name, counted)

    def during(self, phase: Callable[[], object]) -> int:
        """How many operations the phase took."""
        self.count = 0
        phase()
        return self.count


def main(folder: str, url: str, phase: str, share: str) -> None:
    """See the module."""
    index, deadly = opened(Path(folder), url)
    if phase.startswith("full"):
        for name, work in phases(index, "two").items():
            if phase == f"full {name}":
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(share), int(share)))
            work()
        return
    counts = {name: deadly.during(work) for name, work in phases(index, "rehearsal").items()}
    index.promote("one", expect="rehearsal")
    index.drop("rehearsal")
    for name, work in phases(index, "two").items():
        deadly.dies_at = int(float(share) * counts[name]) if name == phase else None
        deadly.during(work)


def opened(folder: Path, url: str) -> tuple[CaptionIndex, Deadly]:
    """The index, what it does to disk or database being counted."""
    deadly = Deadly()
    if url:
        import psycopg

        from finecap.search.postgres import PostgresIndex

        deadly.wrap(psycopg.Connection, "execute")
        deadly.wrap(psycopg.Copy, "write_row")
        return PostgresIndex(url), deadly
    from finecap.search import lance, lance_build, words

    for owner, name in (
        (Path, "rename"), (Path, "replace"), (os, "fsync"), (lance.shutil, "rmtree"),
        (lance, "arrow_of"), (lance, "seal_rows"), (lance_build, "write_vectors"),
        (lance_build, "write_rows"), (lance_build, "write_postings"),
        (lance_build, "write_words"), (words, "analysed"), (words.tantivy, "Document"),
    ):  # fmt: skip
        deadly.wrap(owner, name)
    return lance.LanceIndex(folder), deadly


def phases(index: CaptionIndex, name: str) -> dict[str, Callable[[], object]]:
    """What it takes to make that build and put it live, in order."""
    model = ModelReference(name="m", version="1", path="p")
    rows = [
        Row(f"{i:02d}", f"{i:02d}", "a new boat", np.array([1, 0], np.float32))
        for i in range(BATCHES * PER_BATCH)
    ]
    manifest = Manifest(
        build_id=name, captioner=model, encoder=model, data_md5="d", dims=2, rows=len(rows),
        created_at="2027",
    )  # fmt: skip

    def upsert() -> None:
        for start in range(0, len(rows), PER_BATCH):
            index.upsert(name, rows[start : start + PER_BATCH])

    return {
        "create": lambda: index.create(manifest),
        "upsert": upsert,
        "finish": lambda: index.finish(name, lambda _: 1.0),
        "promote": lambda: index.promote(name, expect=index.live()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
