"""A folder of images, each with its captions in a text file of the same name beside it.

`boat.jpg` and `boat.txt` (or `boat.caption`), a caption a line. Where every image lies below
folders called train, val (or dev, valid) and test, these are the splits; else there are none. What
stays out: tables that name images (`table`).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from finecap.config import ImportConfig
from finecap.data.importers.entry import BAD, LEFT_OUT, Entry, Fault, Source, split_named
from finecap.data.importers.photos import photos_of

_SUFFIXES = (".txt", ".caption")
_NOT_CAPTIONS = frozenset({"readme", "license", "licence", "notice"})


def open_sidecars(source: Path, config: ImportConfig) -> Source:
    """Images of `source` and below with their text files.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    photos = photos_of(config, source)
    if not len(photos):
        raise FileNotFoundError(
            f"{photos.folder} has no images, expected them with a .txt beside each"
        )
    texts = {
        path.relative_to(source).as_posix(): path
        for suffix in _SUFFIXES
        for path in sorted(source.rglob(f"*{suffix}"))
    }
    has_splits = all(_split(path) for path in photos)

    def entries() -> Iterator[Entry | Fault]:
        used: set[str] = set()
        for name in photos:
            stem = name.rpartition(".")[0]
            sidecars = [f"{base}{s}" for base in (stem, name) for s in _SUFFIXES]
            found = next((sidecar for sidecar in sidecars if sidecar in texts), None)
            if found is None:
                yield Fault(name, "", 0, f"no {PurePosixPath(stem).name}.txt beside it")
                continue
            used.add(found)
            split = _split(name) if has_splits else None
            yield _entry(photos.folder / name, name, found, texts[found], split)
        for name in sorted(texts.keys() - used):
            is_readme = PurePosixPath(name).stem.lower() in _NOT_CAPTIONS
            kind = LEFT_OUT if is_readme else BAD
            yield Fault("", name, 0, "a text file without an image", kind)

    return Source(sorted(texts.values()), photos.digest, entries, len(photos))


def _split(name: str) -> str | None:
    """The split that the folders before an image's name say."""
    parents = PurePosixPath(name).parts[:-1]
    return next((split for part in parents if (split := split_named(part))), None)


def _entry(image: Path, name: str, file: str, text: Path, split: str | None) -> Entry | Fault:
    try:
        content = text.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Fault(name, file, 0, f"byte {error.start + 1} is not UTF-8")
    return Entry(name, image, tuple(content.splitlines()), split, file=file, line=1)
