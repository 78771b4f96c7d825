"""What a kind of data set hands over: images one after another, and what is wrong with others.

Every kind is a function `(source, config) -> Source`. What stays out: reading images, choosing
splits, writing (`ingest`, `assign`, `target`).
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

BAD = "bad"
"""Of a fault: a row that should have come in and did not; these count against `max_bad`."""
LEFT_OUT = "left out"
"""Of a fault: the source itself says that the row is not part of the data set."""
NOTE = "note"
"""Of a fault: the row came in, mended or otherwise worth a look."""

_SPLITS = {
    "train": {"train", "training", "trn", "restval"},
    "val": {"val", "valid", "validation", "dev", "minival"},
    "test": {"test", "testing", "tst"},
}
_SPLIT_OF = {name: split for split, names in _SPLITS.items() for name in names}
# Captions of a whole album fit; the default of 128 kB does not hold a base64 thumbnail beside them.
csv.field_size_limit(1 << 24)


class DatasetImportError(ValueError):
    """A source that cannot be read, or a target that must not be written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as its source describes it."""

    name: str  # of the image, as the source has it; the path it gets below images/
    image: Path | bytes
    captions: tuple[str, ...]
    split: str | None = None  # None: the source does not say
    alt_text: str | None = None
    file: str = ""  # of the source, that says so
    line: int = 0
    in_shard: bool = False  # `name` is where the image lies below images/, and it stays there


@dataclass(frozen=True, slots=True)
class Fault:
    """A row or an image that did not come in as it stands."""

    image: str
    file: str
    line: int  # from 1; of a list, its place; 0 where neither is known
    reason: str
    kind: str = BAD


@dataclass(frozen=True)
class Source:
    """A data set that was found: what it is read from, and its images in a fixed order."""

    files: Sequence[Path]  # whose content decides what comes in, photos left out
    photos: str  # a digest of the photos' names and sizes; "" where they are inside `files`
    entries: Callable[[], Iterator[Entry | Fault]]
    total: int | None = None  # how many entries, where that is known
    said: tuple[str, ...] = ()  # how the source was understood, for the report
    shards: Mapping[str, Path] = field(default_factory=dict)  # tars that come in, by place


def split_named(name: str) -> str | None:
    """The split that a source means by `name`; None where the name is not one of a split.

    >>> split_named("restval"), split_named("Validation"), split_named("unlabeled")
    ('train', 'val', None)
    """
    return _SPLIT_OF.get(name.strip().lower())


def tidy(caption: str) -> str:
    r"""The caption on one line with single blanks; "" where no letter or digit is in it.

    >>> tidy(" A dog\n runs . "), tidy(" . ")
    ('A dog runs .', '')
    """
    text = " ".join(caption.split())
    return text if any(character.isalnum() for character in text) else ""


def tidied(captions: Sequence[str]) -> tuple[str, ...]:
    """The captions that say something, each tidied."""
    return tuple(text for caption in captions if (text := tidy(caption)))


def objects(value: object) -> list[dict[str, object]]:
    """The JSON objects in a JSON list; [] where `value` is none."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]


def converting(path: Path) -> str:
    """The command that makes a text file UTF-8: of what Excel writes, or Windows."""
    with path.open("rb") as file:
        is_utf16 = file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    return f"convert it: `iconv -f {'utf-16' if is_utf16 else 'cp1252'} -t utf-8 {path.name} > NEW`"


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, without their line ends.

    Raises:
        DatasetImportError: a line is not UTF-8.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            content = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            try:
                line = content.decode().strip()
            except UnicodeDecodeError as error:
                raise DatasetImportError(
                    f"{path} line {number}: byte {error.start + 1} is not UTF-8; {converting(path)}"
                ) from error
            if line:
                yield number, line
