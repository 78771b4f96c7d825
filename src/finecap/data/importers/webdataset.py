"""WebDataset shards: tars whose files of one stem are a sample (`000012.jpg`, `.txt`, `.json`).

Shards are read as streams, front to back, so their size matters to nobody. A `.txt` has a caption a
line; of a `.json`, as img2dataset writes it, the caption counts where there is no text. Shards lie
in folders called train, val and test, or are called so, or there are no splits. What stays out:
shards at an address; download them.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import cast

from finecap.config import ImportConfig
from finecap.data.importers import columns
from finecap.data.importers.columns import RowError
from finecap.data.importers.entry import Entry, Fault, Source
from finecap.data.importers.photos import SUFFIXES
from finecap.data.importers.table import with_splits

_TEXT = (".txt", ".caption", ".captions", ".cap", ".text")
_CAPTION_KEYS = ("captions", "caption", "text", "sentences")
_SHARDS = ("*.tar", "*.tar.gz", "*.tgz")
_UNSAFE = re.compile(r"[^\w./-]")


def open_webdataset(source: Path, config: ImportConfig) -> Source:
    """The shards in `source`, a folder of tars or one of them.

    Raises:
        FileNotFoundError: there is none.
    """
    del config  # shards have no columns and their own images
    found = (
        [source]
        if source.is_file()
        else sorted(path for pattern in _SHARDS for path in source.rglob(pattern))
    )
    if not found:
        raise FileNotFoundError(f"{source} has no .tar, expected WebDataset's shards there")
    shards = with_splits(found)

    def entries() -> Iterator[Entry | Fault]:
        for path, split in shards:
            yield from _samples(path, split)

    return Source(found, "", entries)


_Sample = tuple[str, dict[str, bytes]]
"""A key, and the contents by suffix, the first dot included."""


def _samples(path: Path, split: str | None) -> Iterator[Entry | Fault]:
    number = 0
    try:
        for key, group in groupby(_members(path), key=lambda member: member[0]):
            number += 1
            yield _entry(path, number, key, {suffix: data for _, suffix, data in group}, split)
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = f"the shard cannot be read on after sample {number}: {error}"
        yield Fault("", path.name, number + 1, reason)


def _members(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Key, suffix and content of each file, in the shard's order."""
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            folder, _, name = member.name.removeprefix("./").rpartition("/")
            stem, dot, suffix = name.partition(".")
            if not member.isfile() or not stem or not dot:
                continue
            file = tar.extractfile(member)
            if file is not None:
                key = f"{folder}/{stem}" if folder else stem
                yield key, f".{suffix.lower()}", file.read()


def _entry(
    path: Path, number: int, key: str, contents: Mapping[str, bytes], split: str | None
) -> Entry | Fault:
    """A sample as an entry, named by shard and key: keys may begin anew in each shard."""
    shard = path.name.partition(".")[0]
    images = [suffix for suffix in contents if _is_image(suffix)]
    if len(images) != 1:
        count = f"{len(images)} images" if images else "no image"
        return Fault(key, path.name, number, f"{count} among {', '.join(contents)}")
    try:
        about = _about(contents)
        captions = _captions(contents, about)
        own = columns.split_in(about.get("split"))
    except (RowError, UnicodeDecodeError) as error:
        return Fault(key, path.name, number, str(error))
    if not captions:
        return Fault(key, path.name, number, f"no caption among {', '.join(contents)}")
    folder = path.parent.name + "/" if split and split != shard else ""
    name = _UNSAFE.sub("_", f"{folder}{shard}/{key}")
    return Entry(name, contents[images[0]], captions, own or split, file=path.name, line=number)


def _is_image(suffix: str) -> bool:
    """Whether `.jpg` or, of a sample with several parts, `.image.jpg` names an image."""
    return f".{suffix.rpartition('.')[2]}" in SUFFIXES


def _part(contents: Mapping[str, bytes], suffix: str) -> bytes | None:
    """The part `.txt` of a sample, or `.0.txt` where the key itself had a dot."""
    return next((part for name, part in contents.items() if name.endswith(suffix)), None)


def _about(contents: Mapping[str, bytes]) -> dict[str, object]:
    """The sample's JSON; empty where it has none.

    Raises:
        RowError: it is no JSON object.
    """
    part = _part(contents, ".json")
    if part is None:
        return {}
    try:
        about = json.loads(part.decode())
    except ValueError as error:
        raise RowError(f"its .json is none: {error}") from error
    if not isinstance(about, dict):
        raise RowError(f"its .json is {str(about)[:60]!r}, expected an object")
    return cast("dict[str, object]", about)


def _captions(contents: Mapping[str, bytes], about: Mapping[str, object]) -> tuple[str, ...]:
    for suffix in _TEXT:
        part = _part(contents, suffix)
        if part is not None:
            return tuple(part.decode("utf-8-sig").splitlines())
    key = next((key for key in _CAPTION_KEYS if about.get(key)), None)
    return columns.captions_in([about[key]]) if key else ()
