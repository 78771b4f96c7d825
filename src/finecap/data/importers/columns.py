"""What the columns of a table mean: named by the user, or by their usual names.

A cell may hold one caption, a list of them, or the list as text (JSON, as CSV files have it); an
image may be a path or the file itself (`{"bytes", "path"}`, as Hugging Face's `datasets` keep it).
What stays out: reading tables (`table`, `huggingface`).
"""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from finecap.data.importers.entry import DatasetImportError, split_named

_USUAL = {
    "image": (
        "image", "file_name", "filename", "image_path", "filepath", "file_path", "path",
        "image_name", "image_file", "file", "img", "img_path", "photo", "jpg",
        "image_id", "img_id", "id", "key",
    ),
    "caption": (
        "captions", "caption", "sentences", "sentence", "text", "texts", "raw", "description",
        "descriptions", "comment", "txt", "caption_str", "reference_strs", "annotations_captions",
        "paragraph", "regions",
    ),
    "split": ("split", "set_name"),
    "alt_text": ("alt_text",),
}  # fmt: skip
_NUMBERED = re.compile(r"(captions?|sentences?|texts?|descriptions?|comments?)[ _-]?\d+")
_IDS = frozenset({"image_id", "img_id", "id", "key"})  # often numbers that name no file
_ADDRESS = re.compile(r"(.*[ _-])?(urls?|links?)")
_INNER = ("raw", "caption", "text", "sentence", "value", "phrase")  # of a caption that is an object
_DOWNLOAD = "img2dataset --output_format webdataset --output_folder FOLDER"
_SHOWN = 60


class RowError(ValueError):
    """A row that is not what its columns promise."""


class NoTableError(DatasetImportError):
    """A file in which no column of images, or none of captions, can be told."""


def is_image_column(name: str) -> bool:
    """Whether a column of that name usually has an image, or the address of one."""
    lower = name.strip().lower()
    return lower in _USUAL["image"] or _ADDRESS.fullmatch(lower) is not None


def chosen(
    header: Sequence[str],
    named: Mapping[str, Sequence[str]],
    where: str,
    leads: Callable[[str], bool],
) -> dict[str, list[str]]:
    """Columns of the table by field: image, caption, and split and alt_text where there are any.

    Args:
        header: the table's columns.
        named: by field, the user's word.
        where: the table, for messages.
        leads: whether what a column has leads to images; asked where several may be meant.

    Raises:
        DatasetImportError: a named column is not there.
        NoTableError: image or caption cannot be told.
    """
    if unknown := named.keys() - _USUAL.keys():
        raise DatasetImportError(
            f"--column {min(unknown)}=...: expected one of {', '.join(_USUAL)} before the `=`"
        )
    found: dict[str, list[str]] = {}
    for field in _USUAL:
        columns = list(named.get(field, ())) or _usual(field, header, leads)
        if missing := [column for column in columns if column not in header]:
            raise DatasetImportError(
                f"{where}: no column {missing[0]!r}, there are {', '.join(header)}"
            )
        if columns:
            found[field] = columns
    for field in ("image", "caption"):
        if field not in found:
            raise NoTableError(f"{where}: {_lacking(field, header, found)}")
    return found


def _lacking(field: str, header: Sequence[str], found: Mapping[str, Sequence[str]]) -> str:
    """Why a field has no column, and what to do."""
    if any("://" in name for name in header):
        return (
            "its first line has an address where columns should be named; put names there "
            f"(`sed -i '1i caption\\turl' FILE`), download the images, as with `{_DOWNLOAD} "
            "--url_list FILE --input_format tsv --url_col url --caption_col caption`, and import "
            "the folder it writes as webdataset"
        )
    addresses = [name for name in header if _ADDRESS.fullmatch(name.strip().lower())]
    if field == "image" and addresses:
        address = next((name for name in addresses if "image" in name.lower()), addresses[0])
        likely = [name for name in header if "caption" in name.lower()]
        caption = [*found.get("caption", []), *_usual("caption", header, bool), *likely, "NAME"][0]
        return (
            f"it has addresses ({address}) and no images, and nothing is downloaded here. Download "
            f"them, as with `{_DOWNLOAD} --url_list FILE --url_col {address} --caption_col "
            f"{caption}` and its --input_format, and import the folder it writes as webdataset"
        )
    return f"which column has the {field}? There are {', '.join(header)}; say --column {field}=NAME"


def captions_in(cells: Sequence[object]) -> tuple[str, ...]:
    """The captions in the cells of a row.

    Raises:
        RowError: a cell is neither text nor a list of texts.
    """
    return tuple(caption for cell in cells for caption in _captions(cell))


def split_in(cell: object) -> str | None:
    """The split that a cell names; None where it is empty.

    Raises:
        RowError: no split has that name.
    """
    if cell is None or not str(cell).strip():
        return None
    split = split_named(str(cell))
    if split is None:
        raise RowError(f"unknown split {str(cell)!r:.60}, expected train, val (dev) or test")
    return split


def image_in(cell: object) -> tuple[str, bytes | None]:
    """Path and content of the image in a cell; "" and None for what is not there.

    Raises:
        RowError: it is neither, or an address.
    """
    content: object = None
    path: object = cell
    if isinstance(cell, int | float) and not isinstance(cell, bool) and cell == int(cell):
        path = str(int(cell))  # an id, by which the file is named
    elif isinstance(cell, dict):
        row = cast("dict[str, object]", cell)
        content, path = row.get("bytes"), row.get("path")
    elif isinstance(cell, bytes | bytearray | memoryview):
        content, path = bytes(cell), ""
    if isinstance(path, str) and "://" in path:
        raise RowError(f"{path[:_SHOWN]!r} is an address, expected a file; download it first")
    if not isinstance(path, str | None) or not isinstance(content, bytes | None):
        raise RowError(f"the image is {str(cell)[:_SHOWN]!r}, expected a path or a file's bytes")
    if not content and not (path and path.strip()):
        raise RowError("no image")
    return (path or "").strip(), content or None


def _usual(field: str, header: Sequence[str], leads: Callable[[str], bool]) -> list[str]:
    """The columns that usually have that field."""
    lower = {column.strip().lower(): column for column in header}
    if field == "caption" and (numbered := [c for c in lower if _NUMBERED.fullmatch(c)]):
        return [lower[name] for name in numbered]
    usual = [name for name in _USUAL[field] if name in lower]
    if field == "image" and (len(usual) > 1 or _IDS.intersection(usual)):
        sure = [name for name in usual if name not in _IDS]
        usual = [name for name in usual if leads(lower[name])][:1] or sure
    return [lower[name] for name in usual[:1]]


def _captions(cell: object) -> list[str]:
    if cell is None or cell == "":
        return []
    if isinstance(cell, str):
        return [cell] if not cell.lstrip().startswith("[") else _listed(cell)
    if isinstance(cell, dict):
        row = cast("dict[str, object]", cell)
        inner = next((row[key] for key in _INNER if key in row), None)
        if inner is None:
            raise RowError(f"a caption is {str(row)[:_SHOWN]!r}, expected text")
        return _captions(inner)
    if isinstance(cell, Sequence) and not isinstance(cell, bytes | bytearray):
        return [caption for item in cast("Sequence[object]", cell) for caption in _captions(item)]
    raise RowError(f"a caption is {str(cell)[:_SHOWN]!r}, expected text")


def _listed(text: str) -> list[str]:
    """A list of captions written as JSON or as Python does; the text itself where it is none."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text.strip())
        except (ValueError, SyntaxError, RecursionError):
            continue
        if isinstance(value, list):
            return _captions(cast("object", value))
    return [text]


def said(columns: Mapping[str, Sequence[str]]) -> str:
    """Which columns were taken for what, in words."""
    return "columns: " + ", ".join(f"{field} from {', '.join(of)}" for field, of in columns.items())
