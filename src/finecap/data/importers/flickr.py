"""Flickr8k and Flickr30k (Hodosh et al. 2013; Young et al. 2014) as they are handed out.

A token file has `IMAGE.jpg#k<TAB>caption` a line (`Flickr8k.token.txt`, `results_20130124.token`).
Two tables of the same captions go round: `captions.txt` (`image,caption`) and `results.csv`
(`image_name| comment_number| comment`), one line of which lacks its second bar; it is mended and
reported. Splits are files of image names: `Flickr_8k.{train,dev,test}Images.txt`, or `train.txt`,
`val.txt`, `test.txt` of the Entities. What stays out: Karpathy's JSON of the same photos.

The originals are not clean: they caption photos that are not handed out, and photos in no split.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finecap.config import ImportConfig
from finecap.data.importers.entry import (
    LEFT_OUT,
    NOTE,
    Entry,
    Fault,
    Source,
    text_lines,
    tidy,
)
from finecap.data.importers.photos import Photos, is_import, photos_of

_TOKEN = re.compile(r"(?P<image>[^#\t]+)#\d+\t(?P<caption>.*)")
_BARS = re.compile(r"(?P<image>[^|]+?)\s*\|\s*(?P<number>\d*)\s*(?P<bar>\|?)\s*(?P<caption>.*)")

_CAPTIONS = {
    "flickr8k": ("Flickr8k.token.txt", "captions.txt"),
    "flickr30k": (
        "results_20130124.token", "results.token", "results.csv", "results_20130124.csv",
        "captions.txt",
    ),
}  # fmt: skip
_SPLIT_FILES = (
    {
        "train": "Flickr_8k.trainImages.txt",
        "val": "Flickr_8k.devImages.txt",
        "test": "Flickr_8k.testImages.txt",
    },
    {"train": "train.txt", "val": "val.txt", "test": "test.txt"},
)


@dataclass
class _Captioned:
    """An image that the caption file names."""

    line: int  # the first that does
    captions: list[str] = field(default_factory=list)


_Row = tuple[int, str, str]
"""Line, image, caption."""


def open_flickr8k(source: Path, config: ImportConfig) -> Source:
    """Flickr8k in `source`; its dev split becomes `val`. See `open_flickr30k`."""
    return _open("flickr8k", source, config)


def open_flickr30k(source: Path, config: ImportConfig) -> Source:
    """Flickr30k in `source`, the photos anywhere in it.

    Raises:
        FileNotFoundError: no captions, no photos, or one of three split files is missing.
        DatasetImportError: a file is not UTF-8.
    """
    return _open("flickr30k", source, config)


def _open(kind: str, source: Path, config: ImportConfig) -> Source:
    root = source.parent if source.is_file() else source
    path = source if source.is_file() else _file(source, _CAPTIONS[kind])
    splits = _split_files(root)
    photos = photos_of(config, root)
    if not len(photos):
        raise FileNotFoundError(f"{photos.folder} has no photos, expected them there or below")

    def entries() -> Iterator[Entry | Fault]:
        captioned: dict[str, _Captioned] = {}
        for row in _rows(path):
            if isinstance(row, Fault):
                yield row
                continue
            line, image, caption = row
            captioned.setdefault(image, _Captioned(line)).captions.append(caption)
        read = _of_splits if splits else _without_splits
        yield from read(path, captioned, photos, splits)

    return Source([path, *splits.values()], photos.digest, entries, len(photos))


def _file(source: Path, names: Sequence[str]) -> Path:
    for name in names:
        if found := _below(source, name):
            return found[0]
    raise FileNotFoundError(
        f"{source / names[0]} does not exist, expected {' or '.join(names)} in the source folder, "
        "with the split files and the photos"
    )


def _below(source: Path, name: str) -> list[Path]:
    """Files of that name in the source and two folders deep, the nearest first."""
    patterns = (name, f"*/{name}", f"*/*/{name}")
    found = [path for pattern in patterns for path in sorted(source.glob(pattern))]
    return [path for path in found if "__MACOSX" not in path.parts and not is_import(path, source)]


def _split_files(source: Path) -> dict[str, Path]:
    """The files of names by split; empty where there are none."""
    for names in _SPLIT_FILES:
        found = {
            split: paths[0] for split, name in names.items() if (paths := _below(source, name))
        }
        if found and len(found) < len(names):
            missing = next(name for split, name in names.items() if split not in found)
            raise FileNotFoundError(
                f"{source / missing} does not exist, expected {', '.join(names.values())}"
            )
        if found:
            return found
    return {}


def _rows(path: Path) -> Iterator[_Row | Fault]:
    """Image and caption of each line; what is none, and what was mended."""
    _, head = next(text_lines(path), (0, ""))
    if head.startswith("image") and "|" in head:
        yield from _lines(path, 1, _from_bars)
    elif head.startswith("image") and "," in head:
        yield from _from_table(path)
    else:
        yield from _lines(path, 0, _from_token)


def _lines(
    path: Path, header: int, parse: Callable[[Path, int, str], Iterator[_Row | Fault]]
) -> Iterator[_Row | Fault]:
    for number, line in text_lines(path):
        if number > header:
            yield from parse(path, number, line)


def _from_token(path: Path, number: int, line: str) -> Iterator[_Row | Fault]:
    match = _TOKEN.fullmatch(line)
    if not match:
        reason = f"expected IMAGE#NUMBER<TAB>caption, came {line[:60]!r}"
        yield Fault("", path.name, number, reason)
        return
    yield from _captioned(path, number, match["image"], match["caption"])


def _from_bars(path: Path, number: int, line: str) -> Iterator[_Row | Fault]:
    match = _BARS.fullmatch(line)
    if not match or not (match["bar"] or match["number"]):
        reason = f"expected IMAGE| NUMBER| caption, came {line[:60]!r}"
        yield Fault("", path.name, number, reason)
        return
    if not match["bar"]:
        reason = "no bar between number and caption; read as if there were one"
        yield Fault(match["image"], path.name, number, reason, NOTE)
    yield from _captioned(path, number, match["image"], match["caption"])


def _from_table(path: Path) -> Iterator[_Row | Fault]:
    """Of `image,caption` or `image_name,comment_number,comment`: the caption is last."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        columns = len(next(rows))
        for cells in rows:
            if len(cells) < columns:
                if any(cells):
                    reason = f"{len(cells)} cells, expected {columns}: {','.join(cells)[:60]!r}"
                    yield Fault(cells[0], path.name, rows.line_num, reason)
                continue
            caption = ",".join(cells[columns - 1 :])  # a comma that nobody quoted
            yield from _captioned(path, rows.line_num, cells[0].strip(), caption)


def _captioned(path: Path, number: int, image: str, caption: str) -> Iterator[_Row | Fault]:
    if tidy(caption):
        yield number, image, caption
    else:
        yield Fault(image, path.name, number, "the caption is empty")


def _without_splits(
    path: Path, captioned: Mapping[str, _Captioned], photos: Photos, splits: Mapping[str, Path]
) -> Iterator[Entry | Fault]:
    del splits
    for name, of in captioned.items():
        yield photos.entry(name, of.captions, file=path.name, line=of.line)


def _of_splits(
    path: Path, captioned: Mapping[str, _Captioned], photos: Photos, splits: Mapping[str, Path]
) -> Iterator[Entry | Fault]:
    """In the order of train, val, test, each split in its file's order."""
    by_stem = {_stem(name): name for name in captioned}
    places, faults = _places(splits)
    yield from faults
    for stem, (name, line, split) in places.items():
        file = splits[split].name
        if stem not in by_stem:
            yield Fault(name, file, line, f"no caption in {path.name}")
        else:
            original = by_stem[stem]
            captions = captioned[original].captions
            yield photos.entry(original, captions, split, file=file, line=line)
    for name, of in captioned.items():
        if _stem(name) not in places:
            there = "" if photos.find(name) else "no such photo, and "
            yield Fault(name, path.name, of.line, f"{there}in no split", LEFT_OUT)


def _places(splits: Mapping[str, Path]) -> tuple[dict[str, tuple[str, int, str]], list[Fault]]:
    """Name, line and split by stem; an image that two splits name stays in the later one."""
    found: dict[str, tuple[str, int, str]] = {}
    faults: list[Fault] = []
    for split in ("test", "val", "train"):
        for line, name in text_lines(splits[split]):
            if _stem(name) in found:
                reason = f"already in {found[_stem(name)][2]}, kept there alone"
                faults.append(Fault(name, splits[split].name, line, reason, NOTE))
            else:
                found[_stem(name)] = (name, line, split)
    order = {split: number for number, split in enumerate(splits)}
    return dict(sorted(found.items(), key=lambda item: order[item[1][2]])), faults


def _stem(name: str) -> str:
    """By which names are matched: files of the Entities leave the suffix out."""
    return name.removesuffix(".jpg")
