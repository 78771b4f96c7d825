"""JSON that is a table: its rows, whichever way round the file has them.

A list of objects; an object with such a list in it beside remarks (`{"data": [...]}`, TextCaps); an
object of columns (`{"image_urls": [...], "captions": [...]}`, SBU; what pandas writes); an object
from image to captions (`{"boat.jpg": ["..."]}`). What stays out: files of images and annotations
apart from each other (`coco`), and what the columns mean (`columns`).
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import cast

from finecap.data.image_formats import SUFFIXES
from finecap.data.importers.columns import is_image_column
from finecap.data.importers.entry import objects


def table_rows(content: object) -> list[dict[str, object]]:
    """The rows of a JSON file's content; [] where it is no table.

    >>> table_rows({"dataset": "x", "data": [{"image": "a.jpg", "caption": "a boat"}]})
    [{'image': 'a.jpg', 'caption': 'a boat'}]
    >>> table_rows({"a.jpg": ["a boat", "the sea"]})
    [{'image': 'a.jpg', 'captions': ['a boat', 'the sea']}]
    >>> table_rows({"image": {"0": "a.jpg"}, "caption": {"0": "a boat"}})
    [{'image': 'a.jpg', 'caption': 'a boat'}]
    """
    if isinstance(content, list):
        return objects(cast("object", content))
    row = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    if any(is_image_column(name) for name in row):
        return _turned(row)
    lists = [found for value in row.values() if (found := objects(value))]
    if lists and not _are_images(row):
        is_apart = {"images", "annotations"} <= row.keys()
        return [] if is_apart else max(lists, key=len)
    if _are_images(row) or all(isinstance(value, dict) for value in row.values()):
        return [_named(name, value) for name, value in row.items()]
    return []


def _are_images(row: Mapping[str, object]) -> bool:
    return all(PurePosixPath(name).suffix.lower() in SUFFIXES for name in row)


def _turned(columns: Mapping[str, object]) -> list[dict[str, object]]:
    """The rows of an object of columns, each a list or an object by row; [] of a single row."""
    cells: dict[str, Sequence[object]] = {}
    for name, column in columns.items():
        if isinstance(column, dict):
            cells[name] = list(cast("dict[str, object]", column).values())
        elif isinstance(column, list):
            cells[name] = cast("list[object]", column)
    if not any(map(is_image_column, cells)):
        return []
    length = max(map(len, cells.values()))
    whole = {name: column for name, column in cells.items() if len(column) == length}
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


def _named(name: str, value: object) -> dict[str, object]:
    """The row of an image that is the key of what is said of it."""
    if isinstance(value, dict):
        return {"image": name, **cast("dict[str, object]", value)}
    return {"image": name, "captions": value}
