r"""`FineCapEval.csv`: five people's captions of each image, and phrases for what they describe.

Columns `image, caption, background, object, relation`; a cell has phrases with `\;` between them.
Source: Cho et al. 2022, "Fine-grained Image Captioning with CLIP Reward", section 4.1. Reading is
strict about form and tolerant about content: a cell may be empty, since people leave them empty.
What is not here: any score (`metrics.finecapeval`).
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CATEGORIES = ("background", "object", "relation")
COLUMNS = ("image", "caption", *CATEGORIES)
SEPARATOR = "\\;"

# What `pandas.read_csv` takes for no value, as the authors' script read the file with it.
_NO_VALUE = frozenset(
    [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    ]
)  # fmt: skip


class FineCapEvalError(ValueError):
    """A file that is no `FineCapEval.csv`, or captions that do not fit one."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person wrote of an image; None where a cell has no value."""

    caption: str | None
    phrases: Mapping[str, str | None]  # by category, as written: phrases with `\;` between them

    @property
    def is_complete(self) -> bool:
        """Whether every cell has a value; the authors' script skips other rows."""
        return None not in {self.caption, *self.phrases.values()}


Annotations = Mapping[str, Sequence[Annotation]]
"""By image: `image_key` of its name."""


def image_key(name: str) -> str:
    """The name by which images and captions are matched: up to the first dot, as the authors do.

    >>> image_key("COCO_val2014_000000391895.jpg")
    'COCO_val2014_000000391895'
    """
    return name.split(".", maxsplit=1)[0]


def read_finecapeval(path: Path) -> dict[str, list[Annotation]]:
    """Annotations by image, images and rows in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        FineCapEvalError: not UTF-8, a missing column, a row of another length, a quote that is not
            closed, a row without image, two images of one key, or no row.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist, expected FineCapEval's CSV with columns {', '.join(COLUMNS)}"
        )
    names: dict[str, str] = {}
    found: dict[str, list[Annotation]] = {}
    for line, cells in _rows(path, _text(path)):
        name = cells["image"].strip()
        if not name:
            raise FineCapEvalError(f"{path} line {line}: `image` is empty, expected a file name")
        key = image_key(name)
        if names.setdefault(key, name) != name:
            raise FineCapEvalError(
                f"{path} line {line}: image {name} cannot be told from {names[key]}, since names "
                "are matched up to their first dot; rename one"
            )
        phrases = {category: _value(cells[category]) for category in CATEGORIES}
        found.setdefault(key, []).append(Annotation(_value(cells["caption"]), phrases))
    if not found:
        raise FineCapEvalError(f"{path} has no rows below its header")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FineCapEvalError(
            f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = _header(path, cells)
            elif len(cells) == len(header):
                yield reader.line_num, dict(zip(header, cells, strict=True))
            elif cells:
                raise FineCapEvalError(
                    f"{path} line {reader.line_num}: {len(cells)} cells, expected {len(header)} "
                    f"({', '.join(header)}); quote a cell that has a comma"
                )
    except csv.Error as error:
        raise FineCapEvalError(
            f"{path} line {reader.line_num}: {error}; a quote inside a quoted cell is written twice"
        ) from error
    if header is None:
        raise FineCapEvalError(f"{path} is empty, expected the columns {', '.join(COLUMNS)}")


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise FineCapEvalError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}, "
            f"came {', '.join(header)}"
        )
    if twice := [column for column in COLUMNS if header.count(column) > 1]:
        raise FineCapEvalError(f"{path}: column {', '.join(twice)} is there twice, expected once")
    return header


def _value(cell: str) -> str | None:
    return None if cell in _NO_VALUE else cell
