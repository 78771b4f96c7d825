"""Models as a server uses them: rows of a request in, one answer per row out, or one clear reason.

The forms that a request may have (bare items, rows, columns, a table) are told apart here, so that
a caller in Python and one over HTTP are served by the same code. What may be sent is
`data.sent_images`'; which server it is, and how it says no, is its own affair: nothing here knows.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from finecap.data.sent_images import Intake, sent_image
from finecap.data.transforms import ImageError, ImageSource, load_image
from finecap.models.captions import Beams
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device
from finecap.models.export import CaptioningModel, load_pair

Answer = TypeVar("Answer")

IMAGE, TEXT = "image", "text"
MAX_BEAMS = 32
MAX_TEXT = 10_000
"""Characters; an encoder reads far fewer, and a tokenizer all of them."""
_BATCH_RANK = 4  # (B, H, W, 3): an array of that rank is several images


class RequestError(ValueError):
    """What was asked cannot be answered, and it is the asker who can mend it."""


@dataclass(frozen=True)
class Row:
    """One item of a request: which column it is of, and what was sent."""

    column: str
    value: object


class ServedCaptioner:
    """A captioner and its encoder, for many askers at once.

    One request computes at a time: a model uses all cores anyway, and memory stays that of one.
    """

    def __init__(self, folder: Path) -> None:
        """The pair exported to `folder`.

        Raises:
            ModelFolderError: one of the two is missing or incomplete.
        """
        self.model: CaptioningModel = load_pair(folder)
        self._lock = threading.Lock()

    def captions(self, asked: object, settings: Mapping[str, Any], intake: Intake) -> list[str]:
        """One caption per image, in order.

        Args:
            asked: images, in any form that `rows_of` knows.
            settings: `beams` (1: greedy) and `max_tokens` (None: as many as it can say).
            intake: what images are taken.

        Raises:
            RequestError: an image or a setting is wrong; names which.
        """
        rows = rows_of(asked, (IMAGE,), lambda _: IMAGE)
        beams = _whole(settings, "beams", 1, MAX_BEAMS) or 1
        max_tokens = _whole(settings, "max_tokens", 1, self.model.captioner.max_tokens)
        images = [_image(row, number, intake) for number, row in enumerate(rows)]
        with self._lock:
            return _or_which(
                images,
                lambda: self.model.caption_images(images, max_tokens, how=Beams(beams)),
            )


class ServedEncoder:
    """A contrastive encoder for many askers at once, one at a time."""

    def __init__(self, folder: Path) -> None:
        """The encoder saved in `folder`.

        Raises:
            ModelFolderError: it is missing or incomplete.
        """
        self.encoder: ClipEncoder = load_encoder(folder).to(best_device())
        self._lock = threading.Lock()

    def vectors(self, asked: object, intake: Intake) -> NDArray[np.float32]:
        """Unit vectors (N, D) of images and texts, in order.

        Args:
            asked: rows of a column `image` or `text`; bare text is text.
            intake: what images are taken.

        Raises:
            RequestError: an item is wrong; names which.
        """
        rows = rows_of(asked, (IMAGE, TEXT), lambda item: TEXT if isinstance(item, str) else IMAGE)
        places = [n for n, row in enumerate(rows) if row.column == IMAGE]
        images = [_image(rows[n], n, intake) for n in places]
        others = [n for n, row in enumerate(rows) if row.column == TEXT]
        texts = [_text(rows[n], n) for n in others]
        found = torch.empty(len(rows), self.encoder.dim)
        with self._lock:
            if images:
                seen = _or_which(images, lambda: self.encoder.encode_images(images), places)
                found[places] = seen
            if texts:
                found[others] = self.encoder.encode_texts(texts)
        return found.numpy()


def rows_of(asked: object, columns: Sequence[str], column_of: Callable[[object], str]) -> list[Row]:
    """The rows of a request, whatever form it has.

    Args:
        asked: a table, a mapping of columns, rows as mappings, bare items, or one of those.
        columns: that a row may have; each has exactly one.
        column_of: which column a bare item is of.

    Raises:
        RequestError: there is no row, or one without any of the columns.
    """
    items = _items(asked, columns)
    if not items:
        raise RequestError(f"the request is empty, expected at least one {' or '.join(columns)}")
    return [_row(item, number, columns, column_of) for number, item in enumerate(items)]


def _items(asked: object, columns: Sequence[str]) -> list[object]:
    """Rows as mappings, or bare items."""
    if isinstance(asked, pd.DataFrame):
        return list(cast("list[object]", asked.to_dict("records")))
    if isinstance(asked, Mapping):
        return _transposed(cast("Mapping[str, object]", asked), columns)
    if isinstance(asked, np.ndarray):
        holds_items = asked.dtype.kind in "OUS"  # Python objects, texts or bytes
        items = asked.reshape(-1) if holds_items else asked
        return list(items) if holds_items or asked.ndim == _BATCH_RANK else [asked]
    if isinstance(asked, list | tuple | pd.Series):
        return list(cast("Sequence[object]", asked))
    return [asked]


def _transposed(asked: Mapping[str, object], columns: Sequence[str]) -> list[object]:
    """Rows of a mapping that has a list per column, or of one that is a row itself."""
    lists = {
        column: _items(asked[column], columns)
        for column in columns
        if isinstance(asked.get(column), list | tuple | np.ndarray | pd.Series)
    }
    if not lists:
        return [asked]
    lengths = {column: len(values) for column, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"columns have different lengths: {lengths}")
    rows = zip(*lists.values(), strict=True)
    return [dict(zip(lists, row, strict=True)) for row in rows]


def _row(
    item: object, number: int, columns: Sequence[str], column_of: Callable[[object], str]
) -> Row:
    """One row, of exactly one column."""
    if not isinstance(item, Mapping):
        return Row(column_of(item), item)
    row = cast("Mapping[str, object]", item)
    given = [column for column in columns if not _is_missing(row.get(column))]
    if len(given) == 1:
        return Row(given[0], row[given[0]])
    came = ", ".join(str(key) for key in row) or "nothing"
    wanted = " or ".join(columns)
    if given:
        raise RequestError(f"row {number} has {' and '.join(given)}, expected {wanted}")
    raise RequestError(f"row {number} has no {wanted}: came {came}")


def _is_missing(value: object) -> bool:
    """Whether a table has no value there."""
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124  NaN


def _image(row: Row, number: int, intake: Intake) -> ImageSource:
    """What the model reads of one row."""
    try:
        return sent_image(row.value, intake)
    except ImageError as error:
        raise RequestError(f"image {number}: {error}") from error


def _text(row: Row, number: int) -> str:
    """The text of one row."""
    if not isinstance(row.value, str):
        kind = type(row.value).__name__
        raise RequestError(f"text {number}: is {kind}, expected text")
    if len(row.value) > MAX_TEXT:
        raise RequestError(f"text {number}: has {len(row.value)} characters, at most {MAX_TEXT}")
    return row.value


def _whole(settings: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """A whole number in its bounds; None where it is not set."""
    value = settings.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RequestError(f"{name} is {value!r}, expected a whole number from {least} to {most}")
    return value


def _or_which(
    images: Sequence[ImageSource],
    compute: Callable[[], Answer],
    numbers: Sequence[int] | None = None,
) -> Answer:
    """What `compute` makes of the images, or which of them does not decode.

    An image's head was read when it was taken; that the rest is broken shows only now, and only
    then is each decoded once more, to say which it is.
    """
    try:
        return compute()
    except (ImageError, FileNotFoundError) as error:
        for number, image in zip(numbers or range(len(images)), images, strict=True):
            try:
                load_image(image)
            except (ImageError, FileNotFoundError) as broken:
                raise RequestError(f"image {number}: {broken}") from error
        raise
