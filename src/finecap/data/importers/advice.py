"""What to type instead, where a source could not be imported: what to unpack, which kind it is.

A kind is told by trying: the first whose importer finds an image with a caption. That reads
annotations once more, which only a failure pays for. What stays out: importing (the kinds).
"""

import csv
import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from finecap.config import ImportConfig
from finecap.data.importers.entry import Entry, Source

_UNPACK = {
    ".zip": "unzip {}", ".tar.gz": "tar xzf {}", ".tgz": "tar xzf {}", ".tar.bz2": "tar xjf {}",
    ".tar.xz": "tar xJf {}", ".tar": "tar xf {}", ".gz": "gunzip {}", ".7z": "7z x {}",
    ".rar": "unrar x {}",
}  # fmt: skip
_SHARDED = "webdataset"
_TRIED = 64  # entries of a kind
_POINTER = 1024  # bytes

Kinds = Mapping[str, Callable[[Path, ImportConfig], Source]]


def packed(kind: str, source: Path) -> str:
    """What to unpack or fetch, as commands; "" where all of `source` is there."""
    found = [(path, command) for path in _files(source) if (command := _unpacking(path))]
    if kind == _SHARDED:
        found = [(path, command) for path, command in found if not command.startswith("tar ")]
    if pointer := next(filter(_is_pointer, _files(source)), None):
        return f"{pointer.name} is a pointer of Git LFS, not the file: fetch it with `git lfs pull`"
    if not found:
        return ""
    commands = [
        f"cd {shlex.quote(str(path.parent))} && {command.format(shlex.quote(path.name))}"
        for path, command in found[:3]
    ]
    more = f" (and {len(found) - 3} more)" if len(found) > len(commands) else ""
    return f"Unpack what is packed: {'; '.join(f'`{it}`' for it in commands)}{more}"


def other_kind(kind: str, source: Path, config: ImportConfig, kinds: Kinds) -> str:
    """The command for the kind that `source` is; "" where none but `kind` itself fits."""
    settings = config.model_copy(update={"columns": {}, "in_shards": False})
    for name, opened in kinds.items():
        if name != kind and _has_image(opened, source, settings):
            return (
                f"It can be read as {name}: "
                f"`finecap import {name} --source {shlex.quote(str(source))} ...`"
            )
    return ""


def _has_image(
    opened: Callable[[Path, ImportConfig], Source], source: Path, config: ImportConfig
) -> bool:
    try:
        entries = islice(opened(source, config).entries(), _TRIED)
        return any(isinstance(entry, Entry) and any(entry.captions) for entry in entries)
    # Whatever a file of another kind makes of it: bad text (ValueError), none there, a torn table.
    except (ValueError, OSError, csv.Error):
        return False


def _files(source: Path) -> Iterator[Path]:
    """The source itself, or what lies in its folder and those in it."""
    if source.is_file():
        yield source
    elif source.is_dir():
        for pattern in ("*", "*/*"):
            yield from (path for path in sorted(source.glob(pattern)) if path.is_file())


def _is_pointer(path: Path) -> bool:
    """Whether Git left a pointer in the place of a file: some 130 bytes."""
    if path.stat().st_size > _POINTER:
        return False
    return path.read_bytes().startswith(b"version https://git-lfs")


def _unpacking(path: Path) -> str:
    """The command that unpacks a file; "" where it is no archive, or was unpacked beside."""
    name = path.name.lower()
    for suffix, command in _UNPACK.items():
        if name.endswith(suffix):
            return "" if path.with_name(path.name[: -len(suffix)]).exists() else command
    return ""
