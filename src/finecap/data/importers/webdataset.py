"""WebDataset shards: tars whose files of one stem are a sample (`000012.jpg`, `.txt`, `.json`).

Shards are read as streams, front to back, so their size matters to nobody. A `.txt` has a caption a
line; of a `.json`, as img2dataset writes it, the caption counts where there is no text. Shards lie
in folders called train, val and test, or are called so, or there are no splits. `in_shards` leaves
the images where they are: the tars come in whole, records name their members, and every stage reads
them there (`image_files`). What stays out: shards at an address; download them.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import cast

from finecap.config import ImportConfig
from finecap.data.image_formats import SUFFIXES
from finecap.data.importers import columns
from finecap.data.importers.columns import RowError
from finecap.data.importers.entry import DatasetImportError, Entry, Fault, Source, tidy
from finecap.data.importers.table import with_splits

_TEXT = (".txt", ".caption", ".captions", ".cap", ".text")
_CAPTION_KEYS = ("captions", "caption", "text", "sentences")
_SHARDS = ("*.tar", "*.tar.gz", "*.tgz")
_UNSAFE = re.compile(r"[^\w./-]")


def open_webdataset(source: Path, config: ImportConfig) -> Source:
    """The shards in `source`, a folder of tars or one of them.

    Raises:
        FileNotFoundError: there is none.
        DatasetImportError: `in_shards`, and one is compressed.
    """
    found = (
        [source]
        if source.is_file()
        else sorted(path for pattern in _SHARDS for path in source.rglob(pattern))
    )
    if not found:
        raise FileNotFoundError(f"{source} has no .tar, expected WebDataset's shards there")
    shards = with_splits(found)

    root = source if source.is_dir() else source.parent
    places = {path: path.relative_to(root).as_posix() for path in found if config.in_shards}
    if packed := [path for path in places if path.suffix != ".tar"]:
        raise DatasetImportError(
            f"{packed[0]} is compressed, so its images cannot be read in place; unpack it to a "
            ".tar, or import without --in-shards"
        )

    def entries() -> Iterator[Entry | Fault]:
        for path, split in shards:
            yield from _samples(path, split, places.get(path))

    return Source(found, "", entries, shards={place: path for path, place in places.items()})


def _samples(path: Path, split: str | None, place: str | None) -> Iterator[Entry | Fault]:
    """The samples of a shard, whose images stay at `place`, if that is given."""
    number = 0
    try:
        for key, group in groupby(_members(path), key=lambda member: member[0]):
            number += 1
            members = list(group)
            contents = {suffix: content for _, suffix, content, _ in members}
            entry = _entry(path, number, key, contents, split)
            if place is not None and isinstance(entry, Entry):
                names = {suffix: name for _, suffix, _, name in members}
                [name] = [names[suffix] for suffix in contents if _is_image(suffix)]
                entry = replace(entry, name=f"{place}/{name}", in_shard=True)
            yield entry
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = f"the shard cannot be read on after sample {number}: {error}"
        yield Fault("", path.name, number + 1, reason)


def _members(path: Path) -> Iterator[tuple[str, str, bytes, str]]:
    """Key, suffix, content and name of each file, in the shard's order."""
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            whole = member.name.removeprefix("./")
            folder, _, name = whole.rpartition("/")
            stem, dot, suffix = name.partition(".")
            if not member.isfile() or not stem or not dot:
                continue
            file = tar.extractfile(member)
            if file is not None:
                key = f"{folder}/{stem}" if folder else stem
                yield key, f".{suffix.lower()}", file.read(), whole


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
            text = part.decode("utf-8-sig")
            alone = about.get("caption")  # img2dataset writes one to both, and it may have lines
            is_one = isinstance(alone, str) and tidy(alone) == tidy(text)
            return (text,) if is_one else tuple(text.splitlines())
    key = next((key for key in _CAPTION_KEYS if about.get(key)), None)
    return columns.captions_in([about[key]]) if key else ()
