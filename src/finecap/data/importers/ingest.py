"""Images of a source, one after another, into the folder being built, and a journal of them.

Each entry of the source becomes one line of `journal.jsonl` once its image lies in place: what it
is, or why it did not come in. An import that was broken off goes on after the journal's last whole
line, and memory stays flat, since nothing else is kept. What stays out: formats (the kinds), splits
and records, which follow from the journal (`target`).
"""

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from finecap.data.image_facts import ImageFacts, facts_of, quiet_warnings
from finecap.data.image_files import index_of, write_index
from finecap.data.image_formats import SUFFIXES
from finecap.data.importers.entry import Entry, Fault, Source, tidied
from finecap.data.records import RecordError, record_of
from finecap.log import Log

JOURNAL = "journal.jsonl"
_CHUNK = 64  # images read before their lines are written
_SAY_EVERY = 1024  # images
_SUFFIXES = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "GIF": ".gif", "BMP": ".bmp",
    "TIFF": ".tif", "PPM": ".ppm", "MPO": ".jpg",
}  # fmt: skip
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Taken:
    """An image that lies in place."""

    image: str  # as its record will name it
    captions: tuple[str, ...]
    split: str | None
    alt_text: str | None
    md5: str
    likeness: str  # hexadecimal
    file: str
    line: int
    again: bool = False  # the same image is in an earlier line; its captions join those
    note: str = ""


def ingest(source: Source, folder: Path, log: Log, *, link: bool) -> None:
    """Bring every image of `source` to `folder/images`, going on where the journal there ends."""
    for place, shard in source.shards.items():
        _bring_shard(shard, folder / "images" / place, link=link)
    journal = folder / JOURNAL
    names: dict[str, tuple[str, str | None]] = {}
    done = 0
    for line in read_journal(journal):
        done += 1
        if isinstance(line, Taken):
            names.setdefault(line.image, (line.md5, line.split))
    if done:
        log(f"going on after {done} images")
    entries = islice(source.entries(), done, None)
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
        journal.open("a", encoding="utf-8") as file,
    ):
        quiet_warnings()
        for chunk in _chunks(entries):
            for entry, seen in zip(chunk, pool.map(_seen, chunk), strict=True):
                file.write(_journal_line(_placed(entry, seen, folder, names, link=link)))
            file.flush()
            if done // _SAY_EVERY != (done := done + len(chunk)) // _SAY_EVERY:
                log("images read", step=done, **({"of": source.total} if source.total else {}))


def read_journal(journal: Path) -> Iterator[Taken | Fault]:
    """The lines of a journal; a last one that was torn is cut off."""
    if not journal.is_file():
        return
    whole = 0
    with journal.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            whole += len(raw)
            row: dict[str, Any] = json.loads(raw)
            if "reason" in row:
                yield Fault(**row)
            else:
                captions: list[str] = row.pop("captions")
                yield Taken(captions=tuple(captions), **row)
    if journal.stat().st_size != whole:
        os.truncate(journal, whole)


def _chunks(entries: Iterable[Entry | Fault]) -> Iterator[list[Entry | Fault]]:
    rest = iter(entries)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _seen(entry: Entry | Fault) -> tuple[bytes, ImageFacts]:
    """The image's bytes and what they show."""
    if isinstance(entry, Fault):
        return b"", ImageFacts()
    if isinstance(entry.image, bytes):
        return entry.image, facts_of(entry.image)
    try:
        content = entry.image.read_bytes()
    except OSError as error:
        return b"", ImageFacts(missing=f"{entry.image.name} cannot be read: {error.strerror}")
    return content, facts_of(content)


def _placed(
    entry: Entry | Fault,
    seen: tuple[bytes, ImageFacts],
    folder: Path,
    names: dict[str, tuple[str, str | None]],
    *,
    link: bool,
) -> Taken | Fault:
    """Put the image in its place; what the journal says of it."""
    if isinstance(entry, Fault):
        return entry
    content, facts = seen
    fault = facts.missing or (facts.decode_error and f"does not decode: {facts.decode_error}")
    captions = tidied(entry.captions)
    if not fault and not captions:
        fault = "no caption with a word in it"
    if fault or facts.md5 is None or facts.likeness is None:
        return Fault(entry.name, entry.file, entry.line, fault or "no image")
    name = entry.name if entry.in_shard else _suffixed(entry.name, facts.format)
    image = f"images/{name}"
    row = {"image": image, "split": entry.split or "train", "captions": list(captions)}
    try:
        record_of({**row, "alt_text": entry.alt_text} if entry.alt_text else row)
    except RecordError as error:
        return Fault(entry.name, entry.file, entry.line, str(error))
    note = ""
    if image in names and names[image][0] != facts.md5:
        if entry.in_shard:
            reason = f"two images of the shard are called {entry.name}, only the last can be read"
            return Fault(entry.name, entry.file, entry.line, reason)
        stem, suffix = os.path.splitext(image)  # noqa: PTH122 - a name, not a path of this machine
        note = f"another image is called {image}, this one is now told apart by its content"
        image = f"{stem}-{facts.md5[:8]}{suffix}"
    again = image in names
    _, split = names.setdefault(image, (facts.md5, entry.split))
    if entry.split not in {split, None}:
        reason = f"in split {entry.split} here, in {split} before; its captions here were left out"
        return Fault(entry.name, entry.file, entry.line, reason)
    if not again and not entry.in_shard:
        _write(entry.image, content, folder / image, link=link)
    return Taken(
        image=image,
        captions=captions,
        split=entry.split,
        alt_text=entry.alt_text,
        md5=facts.md5,
        likeness=facts.likeness.hex(),
        file=entry.file,
        line=entry.line,
        again=again,
        note=note,
    )


def _suffixed(name: str, kind: str | None) -> str:
    """The name as a path below `images/`, with the suffix of its format where it has none."""
    path = name.replace("\\", "/").removeprefix("./").removeprefix("images/")
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a name, not a path of this machine
    return path if suffix in SUFFIXES else path + _SUFFIXES.get(kind or "", "")


def _bring_shard(shard: Path, target: Path, *, link: bool) -> None:
    """Copy or link a tar and write the index of its members, unless an earlier attempt has."""
    if index_of(target).is_file():  # written last
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if link:
        _link(shard, target)
    else:
        shutil.copyfile(shard, target)
    write_index(target)


def _write(image: Path | bytes, content: bytes, target: Path, *, link: bool) -> None:
    """Write or link the image; what a broken-off import left there goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if not link or isinstance(image, bytes):
        target.write_bytes(content)
        return
    _link(image, target)


def _link(image: Path, target: Path) -> None:
    original = image.resolve()  # a link to a link would dangle once moved
    try:
        target.hardlink_to(original)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        target.symlink_to(original)


def _journal_line(line: Taken | Fault) -> str:
    return json.dumps(asdict(line)) + "\n"
