"""The photos of a source, found by the names that its annotations give them.

Data sets are handed out as archives that everyone unpacks a little differently, so photos are
looked for in the whole folder: by name, and where several have that name by the folders before it.
Names of another machine are understood too: an absolute path by its last folders, `.JPG` for
`.jpg`, letters with their accents apart, as macOS packs them. A photo of another folder never
stands in.
What stays out: decoding them.
"""

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from finecap.config import ImportConfig
from finecap.data.image_formats import SUFFIXES
from finecap.data.importers.entry import DatasetImportError, Entry, Fault

MARKER = "import.json"
"""What an import leaves in the folder that it wrote."""
_SKIPPED = frozenset({"__MACOSX"})
_DRIVE = re.compile(r"[A-Za-z]:/")
_COCO = re.compile(r"(?:^|_)(?=\d{12}$)0*(\d+)$")  # COCO_val2014_000000000042, 000000000042
_NUMBER = re.compile(r"(\.jpe?g)#\d+$", re.IGNORECASE)  # of a caption: Flickr's, Multi30k's
_SAME = {".jpeg": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


class Photos:
    """Every image file of a folder and below."""

    def __init__(self, folder: Path) -> None:
        """Look through `folder`.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist, expected the photos there")
        self.folder = folder
        self._sizes: dict[str, int] = dict(sorted(_walk(folder, "")))
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self._sizes:
            name = path.rpartition("/")[2]
            self._by_name[name].append(path)
            self._by_stem[name.rpartition(".")[0]].append(path)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sizes)

    def __iter__(self) -> Iterator[str]:
        """Paths relative to the folder, sorted."""
        return iter(self._sizes)

    @property
    def digest(self) -> str:
        """Of the names and sizes of all."""
        digest = hashlib.md5(usedforsecurity=False)
        for path, size in self._sizes.items():
            digest.update(f"{path}\t{size}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def find(self, name: str, folder: str = "") -> Path | None:
        """The photo that annotations call `name`; None where there is none.

        Args:
            name: file name, with or without its suffix. Folders before it must be the photo's, as
                far as they go.
            folder: name of the folder it should lie in, where several have that name.

        Raises:
            DatasetImportError: several photos are meant.
        """
        path = _NUMBER.sub(r"\1", name.replace("\\", "/"))
        wanted = PurePosixPath(path)
        is_absolute = wanted.is_absolute() or _DRIVE.match(path) is not None
        if is_absolute and Path(path).is_file():
            return Path(path)
        parents = tuple(part for part in wanted.parent.parts if part != "..")
        found = self._below(self._called(wanted), parents, is_absolute=is_absolute)
        if len(found) > 1:
            found = _closest(found, parents or tuple(filter(None, folder.split("/"))))
        if len(found) > 1 and not self._are_copies(found):
            raise DatasetImportError(
                f"{len(found)} photos are called {name}: {', '.join(found[:3])}; say which folder "
                "has the right ones (--images)"
            )
        return self.folder / found[0] if found else None

    def _called(self, wanted: PurePosixPath) -> list[str]:
        """Photos of that name, folders left out."""
        if found := self._by_name.get(wanted.name):
            return found
        if wanted.suffix.lower() not in SUFFIXES:
            return self._by_stem.get(wanted.name) or self._by_number.get(wanted.name, [])
        return self._by_likeness.get(_plain(wanted.name), [])

    def _below(
        self, found: Sequence[str], parents: tuple[str, ...], *, is_absolute: bool
    ) -> list[str]:
        """Those that lie in the folders `parents`.

        What was written on another machine has folders before those that are here; then the whole
        path of a photo below the root must be the end of the name's.
        """
        if not parents:
            return list(found)
        if here := [path for path in found if self._parents(path)[-len(parents) :] == parents]:
            return here
        root = (self.folder.absolute().name,) if is_absolute else ()
        ends = {path: tuple(path.split("/")[:-1]) or root for path in found}
        folded = tuple(map(str.casefold, parents))  # images/, Images/
        return [
            path
            for path, end in ends.items()
            if end and folded[-len(end) :] == tuple(map(str.casefold, end))
        ]

    @cached_property
    def _by_number(self) -> dict[str, list[str]]:
        """Paths of COCO's photos by their numbers, as sets that are made of COCO name them."""
        numbered: dict[str, list[str]] = defaultdict(list)
        for stem, paths in self._by_stem.items():
            if match := _COCO.search(stem):
                numbered[match[1]] += paths
        return numbered

    @cached_property
    def _by_likeness(self) -> dict[str, list[str]]:
        """Paths by a name that differs in the suffix's spelling or the accents' form alone."""
        alike: dict[str, list[str]] = defaultdict(list)
        for name, paths in self._by_name.items():
            alike[_plain(name)] += paths
        return alike

    def _are_copies(self, paths: Sequence[str]) -> bool:
        """Whether the same photo lies in several places, as archives that hold a folder twice."""
        if len({self._sizes[path] for path in paths}) > 1:
            return False
        first = (self.folder / paths[0]).read_bytes()
        return all((self.folder / path).read_bytes() == first for path in paths[1:])

    def _missing(self, name: str) -> str:
        """That a photo is not there, and which of its name is."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        others = self._by_name.get(wanted.name) or self._by_stem.get(wanted.stem, [])
        there = f", only '{others[0]}'" if others else ""
        lies, wants = (others[0].rpartition("/")[0] if others else ""), wanted.parent.name
        if lies and wants and others[0].endswith(wanted.name):
            there += f" ('ln -s {lies} {wants}' there mends it)"
        return f"no such photo in {self.folder.name or self.folder}/{there}"

    def has(self, name: str) -> bool:
        """Whether a photo of that name is there, in whatever folder."""
        return bool(self._called(PurePosixPath(name.replace("\\", "/"))))

    def entry(
        self,
        name: str,
        captions: Sequence[str],
        split: str | None = None,
        *,
        file: str,
        line: int,
        folder: str = "",
    ) -> Entry | Fault:
        """The entry of the photo called `name` (see `find`), or why there is none."""
        try:
            photo = self.find(name, folder)
        except DatasetImportError as error:
            return Fault(name, file, line, str(error))
        if photo is None:
            return Fault(name, file, line, self._missing(name))
        own = _NUMBER.sub(r"\1", name.replace("\\", "/"))
        if PurePosixPath(own).is_absolute() or _DRIVE.match(own) or ".." in own.split("/"):
            own = photo.name
        return Entry(own, photo, tuple(captions), split, file=file, line=line)

    def name_of(self, entry: Entry) -> str:
        """The path of the entry's photo below the folder; its own name where it lies elsewhere."""
        if isinstance(entry.image, Path) and entry.image.is_relative_to(self.folder):
            return entry.image.relative_to(self.folder).as_posix()
        return entry.name

    def _parents(self, path: str) -> tuple[str, ...]:
        """The folders above a photo, those above the root too."""
        return (self.folder.absolute() / path).parent.parts


def photos_of(config: ImportConfig, root: Path) -> Photos:
    """The photos in the folder that `config` names, or in the source's own `root`.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    return Photos(Path(config.images) if config.images else root)


def _plain(name: str) -> str:
    """A name whose suffix is spelt one way, its accents composed.

    >>> _plain("a.JPEG"), _plain("e\u0301.jpg") == _plain("\u00e9.jpg")
    ('a.jpg', True)
    """
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    suffix = path.suffix.lower()
    return path.stem + _SAME.get(suffix, suffix)


def _closest(paths: list[str], parents: tuple[str, ...]) -> list[str]:
    """Those of `paths` that share most folders before the name."""

    def shared(path: str) -> int:
        own = path.split("/")[:-1]
        pairs = zip(reversed(own), reversed(parents), strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(own), len(parents)))

    best = max(map(shared, paths))
    return [path for path in paths if shared(path) == best]


def is_import(path: Path, below: Path) -> bool:
    """Whether a file lies in a folder that an import wrote somewhere below a source."""
    folders = [folder for folder in path.parents if folder != below and below in folder.parents]
    return any((folder / MARKER).is_file() for folder in folders)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """Relative path and size of each image file; hidden files and folders are passed over."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SKIPPED:
                continue
            if entry.is_dir():
                if Path(entry.path, MARKER).is_file():
                    continue  # what an earlier import wrote there is no part of the source
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - 10x faster
                yield f"{prefix}{entry.name}", entry.stat().st_size
