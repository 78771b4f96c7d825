"""Captions and references of others as files: what `finecap score` is given.

Captions, one of each image: COCO's results, `[{"image_id": 1, "caption": "a dog"}]` (`image` is as
good a name), or `{"1": "a dog"}`. References: COCO's annotations, `{"annotations": [{"image_id": 1,
"caption": "a dog"}]}`, that list alone, `{"1": ["a dog"]}`, or the `captions.jsonl` (or the
folder `captions`) of a data folder. Ids are compared as text, so that 1 and "1" are one image. What
is not here: scoring.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from finecap.data.json_files import read_json
from finecap.data.records import read_records


class CaptionFileError(ValueError):
    """A file of captions or references that cannot be read as one."""


def read_captions(path: Path) -> dict[str, str]:
    """The caption of each image, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        CaptionFileError: not JSON, of another form, an image twice, or no caption.
    """
    content = read_json(path, CaptionFileError)
    found: dict[str, str] = {}
    for where, image, caption in _entries(path, content):
        if not isinstance(caption, str):
            raise CaptionFileError(f"{where}: caption is {_shown(caption)}, expected one sentence")
        if image in found:
            raise CaptionFileError(f"{where}: image {image} has a caption already, expected one")
        found[image] = caption
    if not found:
        raise CaptionFileError(f"{path} has no caption")
    return found


def read_references(path: Path) -> dict[str, list[str]]:
    """The references of each image, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        CaptionFileError: not JSON, of another form, or no reference.
        RecordError: a `.jsonl`, or a folder, that is no data folder's.
    """
    if path.suffix == ".jsonl" or path.is_dir():
        return {record.image: list(record.captions) for record in read_records(path)}
    content = read_json(path, CaptionFileError)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        content = content["annotations"]
    found: dict[str, list[str]] = {}
    for where, image, said in _entries(path, content):
        captions = cast("list[object]", said) if isinstance(said, list) else [said]
        for caption in captions:
            if not isinstance(caption, str) or not caption.strip():
                raise CaptionFileError(f"{where}: reference {_shown(caption)}, expected a sentence")
            found.setdefault(image, []).append(caption)
    if not found:
        raise CaptionFileError(f"{path} has no reference")
    return found


def _entries(path: Path, content: object) -> Iterator[tuple[str, str, object]]:
    """Where an entry stands, its image, and what it says of it, unchecked."""
    if isinstance(content, dict):
        for image, said in cast("dict[str, object]", content).items():
            yield f"{path}: {image}", image, said
        return
    if not isinstance(content, list):
        raise CaptionFileError(
            f'{path}: {_shown(content)}, expected [{{"image_id": ..., "caption": ...}}, ...]'
        )
    for number, entry in enumerate(cast("Iterable[object]", content), 1):
        where = f"{path} entry {number}"
        row = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        image = row.get("image_id", row.get("image"))
        if isinstance(image, bool) or not isinstance(image, str | int) or "caption" not in row:
            raise CaptionFileError(
                f'{where}: {_shown(entry)}, expected "image_id" (or "image"), text or a whole '
                'number, and "caption"'
            )
        yield where, str(image), row["caption"]


def _shown(value: object) -> str:
    """`value` as JSON, short enough for a message."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004
