"""The drawn world as a data folder: images and `captions.jsonl`, on all cores, all or nothing.

An image depends on (seed, part, index) alone, so any number of processes writes the same bytes. The
folder is drawn beside its place and renamed at the end: a killed run leaves no half world behind.
"""

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from finecap.config import DataConfig
from finecap.data.records import RECORDS, SHARDS, Record, write_records
from finecap.data.scenes.draw import draw_scene
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.language import alt_text, references
from finecap.data.scenes.png import encode
from finecap.data.scenes.world import sample_scene
from finecap.log import Log

_CHUNK = 250  # images a process draws between two reports
_POOL_FROM = 1_000  # images; fewer are drawn here, starting processes would take longer


@dataclass(frozen=True, slots=True)
class Job:
    """One image to draw: its place in the data set and the key of its random numbers."""

    number: int  # in the whole data set
    split: str
    part: str  # of train, "" elsewhere
    index: int  # within its part or split
    attempt: int = 0  # raised when another image has the same pixels

    @property
    def image(self) -> str:
        """The record's id: the path in the data folder."""
        return f"images/{self.number:06d}.png"


def draw_world(folder: Path, config: DataConfig, log: Log, processes: int | None = None) -> None:
    """Draw the world into `folder` (images/ and captions.jsonl) unless it is there already.

    Args:
        folder: made here; its parent folders too.
        config: seed and numbers of images.
        log: told of every few thousand images.
        processes: None: one per core.

    Raises:
        FileExistsError: `folder` exists but holds no `captions.jsonl`, so is no drawn world.
    """
    if (folder / RECORDS).is_file() or (folder / SHARDS).is_dir():
        log(f"{folder} is there already, nothing drawn")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"{folder} exists without captions.jsonl, expected a whole data set or nothing; "
            "move it away, or name another folder in the profile (data.folder)"
        )
    draft = folder.with_name(folder.name + ".partial")
    if draft.exists():
        shutil.rmtree(draft)
    (draft / "images").mkdir(parents=True)
    records = _drawn(draft, jobs(config), config.seed, processes or os.cpu_count() or 1, log)
    write_records(draft / RECORDS, records)
    if folder.exists():
        folder.rmdir()
    draft.replace(folder)
    log(f"drew {len(records)} images into {folder}", images=len(records))


def jobs(config: DataConfig) -> list[Job]:
    """Every image of the world, in the order of `captions.jsonl`."""
    counts = (
        ("train", "clip", config.clip_images),
        ("train", "judge", config.judge_images),
        ("train", "captioner", config.captioner_images),
        ("val", "", config.val_images),
        ("test", "", config.test_images),
    )
    places = [(split, part, index) for split, part, count in counts for index in range(count)]
    return [Job(number, *place) for number, place in enumerate(places)]


def _drawn(draft: Path, todo: list[Job], seed: int, processes: int, log: Log) -> list[Record]:
    """Draw all images; their records in order, no two images alike."""
    records: dict[str, Record] = {}
    seen: set[str] = set()
    pending = todo
    while pending:
        again: list[Job] = []
        done = 0
        for chunk in _in_chunks(draft, pending, seed, processes):
            for job, record, digest in chunk:
                if digest in seen:
                    again.append(Job(job.number, job.split, job.part, job.index, job.attempt + 1))
                seen.add(digest)
                records[job.image] = record
            done += len(chunk)
            if done % 2_000 < _CHUNK:
                log("drawing the world", step=done, share=done / len(pending))
        pending = again
    return [records[job.image] for job in todo]


def _in_chunks(
    draft: Path, pending: list[Job], seed: int, processes: int
) -> Iterator[list[tuple[Job, Record, str]]]:
    """Drawn chunks in order, by one process or several."""
    chunks = [pending[start : start + _CHUNK] for start in range(0, len(pending), _CHUNK)]
    draw = partial(_draw_chunk, draft, seed)
    if processes == 1 or len(pending) < _POOL_FROM:
        yield from map(draw, chunks)
        return
    # Spawned, not forked: an orchestrator's process has threads, and forking those can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(chunks)), mp_context=context) as pool:
        yield from pool.map(draw, chunks)


def _draw_chunk(draft: Path, seed: int, chunk: Iterable[Job]) -> list[tuple[Job, Record, str]]:
    """Draw and write each image; with its record and the hash of its pixels."""
    return [(job, *_draw_image(draft, seed, job)) for job in chunk]


def _draw_image(draft: Path, seed: int, job: Job) -> tuple[Record, str]:
    """Write the image; its record and the hash of its pixels."""
    key = (seed, job.part or job.split, job.index, job.attempt)
    scene = sample_scene(Generator(*key, "scene"), train=job.split == "train")
    indices, palette = draw_scene(scene, Generator(*key, "texture"))
    (draft / job.image).write_bytes(encode(indices, palette))
    record = Record(
        image=job.image,
        split=job.split,
        captions=references(scene, Generator(*key, "references")),
        part=job.part,
        alt_text=alt_text(scene, Generator(*key, "alt_text")),
        facts=scene.facts(),
    )
    return record, hashlib.sha256(palette[indices].tobytes()).hexdigest()
