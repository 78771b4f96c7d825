"""The bytes of an image by its path: of a file, or of a member of a tar.

A data folder may keep its images in shards, tars such as WebDataset's. A record then names the tar
and, behind it, the member: `images/00000.tar/000012.jpg`. Nothing is unpacked, and any image is
read at once: beside the tar lies an index of its members (`00000.tar.index.npy`: name, offset,
size, sorted by name), written once when the data was imported and read by memory map. A tar without
one is gone through once by every process that reads it; readers write nothing into a data folder.

All that opens images of a data folder does so here. What stays out: decoding (`transforms`).
"""

import errno
import os
import tarfile
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from finecap.data.image_formats import SUFFIXES

_SUFFIX = ".tar"
_BLOCK = 512  # bytes of a member's header, right before its content
_NAME = 97  # letters of a name, "./" left out, that a header has room for
_OPEN = 64  # shards kept open
_SAID = 3  # images that a message names


class ShardError(OSError):
    """A tar, or the index beside it, that cannot be read as one."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)

    def __str__(self) -> str:
        """Without the number of its kind."""
        return str(self.strerror)


def image_bytes(path: Path) -> bytes:
    """The content of the image at `path`.

    Raises:
        FileNotFoundError: there is no such file, nor a tar with that member.
        IsADirectoryError: it is a folder.
        ShardError: the tar or its index is broken.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        shard, name = _placed(path)
        return _shard(shard).read(name)


def image_stat(path: Path) -> tuple[int, int]:
    """Bytes of the image, and when its file (of a member: the tar) was changed, in ns.

    Raises: see `image_bytes`.
    """
    if path.is_file():
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    shard, name = _placed(path)
    return _shard(shard).place(name)[1], shard.stat().st_mtime_ns


def images_at(path: Path) -> list[Path]:
    """The image at `path`, a file or a member of a tar; of a tar itself each image in it, by name.

    Raises:
        FileNotFoundError: there is no such image, or none in the tar; of a tar it says what is.
        IsADirectoryError: it is a folder.
        ShardError: the tar or its index is broken.
    """
    if path.is_file() and path.suffix != _SUFFIX:
        return [path]
    is_shard = path.is_file()
    shard, name = (path, "") if is_shard else _placed(path)
    names = _shard(shard).names()
    images = [it for it in names if PurePosixPath(it).suffix.lower() in SUFFIXES]
    if is_shard and images:
        return [shard / image for image in images]
    if name in names:
        return [path]
    there = f", it has {', '.join(images[:_SAID])}" if images else " and no image"
    raise FileNotFoundError(f"{shard} has no {name or 'image'}{there if name else ''}")


def is_in_shard(path: Path) -> bool:
    """Whether `path` leads into a tar."""
    return _tar_above(path) is not None


def index_of(shard: Path) -> Path:
    """Where the index of a tar lies."""
    return shard.with_name(f"{shard.name}.index.npy")


def write_index(shard: Path) -> None:
    """Write the index of a tar beside it, whole or not at all.

    Raises:
        ShardError: it is no tar, or compressed, so that no member has a place in it.
    """
    index, members = index_of(shard), _members(shard)
    partial = index.with_name(f"{index.name}.partial")
    with partial.open("wb") as file:
        np.save(file, members)
    partial.replace(index)


class _Shard:
    """An open tar."""

    def __init__(self, path: Path) -> None:
        index = index_of(path)
        found = np.load(index, mmap_mode="r") if index.is_file() else _members(path)
        # As plain arrays: a memory map's own slices cost ten times as much.
        self.path, self._names = path, np.asarray(found["name"])
        self._offsets, self._sizes = np.asarray(found["offset"]), np.asarray(found["size"])
        self._file = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def names(self) -> list[str]:
        """Of all members, sorted."""
        return [name.decode("utf-8", "surrogateescape") for name in self._names.tolist()]

    def place(self, name: str) -> tuple[int, int]:
        """Offset and size of a member.

        Raises:
            FileNotFoundError: the tar has none of that name.
        """
        key = _encoded(name)
        at = bisect_left(self._names, key)
        if at == len(self._names) or self._names[at] != key:
            raise FileNotFoundError(f"image {self.path / name} does not exist")
        return int(self._offsets[at]), int(self._sizes[at])

    def read(self, name: str) -> bytes:
        """A member's content; safe in threads, as nothing is sought."""
        offset, size = self.place(name)
        content = os.pread(self._file, _BLOCK + size, offset - _BLOCK)
        try:
            header = tarfile.TarInfo.frombuf(content[:_BLOCK], "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            header = None
        # A name that is long, or of other letters, stands before the header, which has part of it.
        is_whole = name.isascii() and len(name) <= _NAME
        is_own = header is not None and (not is_whole or header.name.removeprefix("./") == name)
        if header is None or not is_own or header.size != size or len(content) != _BLOCK + size:
            raise ShardError(
                f"{self.path} has no {name} where {index_of(self.path).name} says: the index is of "
                "another tar, or the tar is cut short; import it again"
            )
        return content[_BLOCK:]


def _shard(path: Path) -> _Shard:
    stat = path.stat()
    return _opened(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=_OPEN)
def _opened(path: Path, size: int, mtime_ns: int) -> _Shard:
    """The tar as it is now: replaced, it is another."""
    del size, mtime_ns
    return _Shard(path)


def _placed(path: Path) -> tuple[Path, str]:
    """The tar that `path` leads into, and the member.

    Raises:
        FileNotFoundError: it leads into none.
        IsADirectoryError: it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    shard = _tar_above(path)
    if shard is None:
        raise FileNotFoundError(f"image {path} does not exist")
    return shard, path.relative_to(shard).as_posix()


def _tar_above(path: Path) -> Path | None:
    return next((it for it in path.parents if it.suffix == _SUFFIX and it.is_file()), None)


def _members(shard: Path) -> npt.NDArray[np.void]:
    """Name, offset and size of each file in a tar, sorted by name; of two of one name the last."""
    try:
        found = dict(_walked(shard))
    except (tarfile.TarError, EOFError) as error:
        raise ShardError(
            f"{shard} cannot be read as a tar that is not compressed ({error}); is it whole?"
        ) from error
    rows = [(_encoded(name), *place) for name, place in sorted(found.items(), key=_key)]
    length = max((len(name) for name, *_ in rows), default=1)
    return np.array(rows, dtype=[("name", f"S{length}"), ("offset", "<i8"), ("size", "<i8")])


def _walked(shard: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    with tarfile.open(shard, "r:") as tar:
        for member in tar:
            if member.isreg() and not member.issparse():
                yield member.name.removeprefix("./"), (member.offset_data, member.size)
            cast(Any, tar).members.clear()  # it keeps every header otherwise


def _key(item: tuple[str, tuple[int, int]]) -> bytes:
    return _encoded(item[0])


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
