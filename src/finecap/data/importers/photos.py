"""The photos of a source, found by the names that its annotations give them.

Data sets are handed out as archives that everyone unpacks a little differently, so photos are
looked for in the whole folder: by name, and where several have that name by the folders before it.
What stays out: opening them.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from finecap.config import ImportConfig
from finecap.data.importers.entry import DatasetImportError, Entry, Fault

SUFFIXES = frozenset(
    ".jpg .jpeg .png .webp .avif .gif .bmp .tif .tiff .ppm .pgm".split()  # noqa: SIM905 - one line
)
MARKER = "import.json"
"""What an import leaves in the folder that it wrote."""
_SKIPPED = frozenset({"__MACOSX"})


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
        wanted = PurePosixPath(name.replace("\\", "/"))
        if wanted.is_absolute():
            return Path(wanted) if Path(wanted).is_file() else None
        parents = tuple(part for part in wanted.parent.parts if part != "..")
        found = self._by_name.get(wanted.name, [])
        if not found and wanted.suffix.lower() not in SUFFIXES:
            found = self._by_stem.get(wanted.name, [])
        found = [
            path for path in found if self._parents(path)[-len(parents) :] == parents or not parents
        ]
        if len(found) > 1:
            found = _closest(found, parents or tuple(filter(None, folder.split("/"))))
        if len(found) > 1:
            raise DatasetImportError(
                f"{len(found)} photos are called {name}: {', '.join(found[:3])}; say which folder "
                "has the right ones (--images)"
            )
        return self.folder / found[0] if found else None

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
            return Fault(name, file, line, f"no such photo in {self.folder.name}/")
        own = photo.name if PurePosixPath(name).is_absolute() else name
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
