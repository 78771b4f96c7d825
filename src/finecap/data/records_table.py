"""Every line of `captions.jsonl` as a row of numbers and texts that expectations can be put to.

Also lines that are no record have a row (their `parse_error` says why), so that nothing is lost
between the file and the verdict. What stays out: the bounds (`suite`) and what happens to a row
that fails (`expectations`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from finecap.config import ValidationConfig
from finecap.data.caption_faults import FAULTS, foreign_share, found, is_english, leaked_name
from finecap.data.image_facts import ImageFacts, image_facts
from finecap.data.likeness import SIZE, near_duplicates
from finecap.data.records import SPLITS, Problem, Record, gc_paused

COLUMNS = (
    "line",
    "parse_error",
    "named",
    "image",
    "split",
    "part",
    "caption_count",
    "shortest_words",
    "longest_words",
    "text",
    *FAULTS,
    "leaked_name",
    "foreign_share",
    "is_english",
    "missing",
    "decode_error",
    "exif_error",
    "width",
    "height",
    "short_side",
    "long_side",
    "aspect",
    "spread",
    "md5",
    "copy_of",
    "near_copy_of",
)
_NUMBERS = (
    "caption_count", "shortest_words", "longest_words", "foreign_share", "is_english", "width",
    "height", "short_side", "long_side", "aspect", "spread",
)  # fmt: skip
_FACTS = ("missing", "decode_error", "exif_error", "width", "height", "spread", "md5")


def records_table(
    folder: Path,
    rows: Sequence[tuple[int, Record]],
    problems: Sequence[Problem],
    config: ValidationConfig,
) -> pd.DataFrame:
    """One row per line, sorted by line, with the columns `COLUMNS`.

    `named` is the image a line names even where the line is no record; `image` is null there, so
    that a bad second line casts no doubt on the first. `text` is all of a record's text. `copy_of`
    names an image of the same bytes in the split that keeps it (test before val before train), and
    is null on rows that stay; `near_copy_of` one that looks the same. Without `config.pixels` no
    image is opened, and what only images tell is null.
    """
    records = [record for _, record in rows]
    images = [record.image for record in records]
    facts = image_facts(folder, images) if config.pixels else []
    with gc_paused():
        columns = _texts(records) | _facts(facts, len(records))
    columns["line"] = [line for line, _ in rows]
    table = _table(columns, len(records))
    del columns
    if problems:
        bad: dict[str, list[object]] = {
            "line": [problem.line for problem in problems],
            "named": [problem.image for problem in problems],
            "parse_error": [problem.reason for problem in problems],
        }
        table = pd.concat([table, _table(bad, len(problems))])
        table = table.sort_values("line", ignore_index=True)
    if config.pixels:
        table["copy_of"] = _copies(table)
    if config.pixels and config.near_duplicates:
        table["near_copy_of"] = _near_copies(table, images, facts, config)
    return table


def _table(columns: Mapping[str, Sequence[object]], n: int) -> pd.DataFrame:
    """The columns as a table, null where there is none; NaN among numbers.

    Texts stay the very objects they are: pandas would make two copies of each.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for name in COLUMNS:
        kind = "int64" if name == "line" else "float64" if name in _NUMBERS else object
        column = np.empty(n, dtype=object)
        column[:] = columns.get(name, [None] * n)
        found[name] = column.astype(kind, copy=False)
    return pd.DataFrame(found, columns=list(COLUMNS), copy=False)


def _texts(records: Sequence[Record]) -> dict[str, list[object]]:
    """What the records say, column by column: rows as objects would take gigabytes."""
    lengths = [[len(caption.split()) for caption in record.captions] for record in records]
    texts = [" / ".join((*record.captions, record.alt_text or "")) for record in records]
    images: list[object] = [record.image for record in records]
    return {
        "named": images,
        "image": images,
        "split": [record.split for record in records],
        "part": [record.part for record in records],
        "caption_count": [len(record.captions) for record in records],
        "shortest_words": [min(words) for words in lengths],
        "longest_words": [max(words) for words in lengths],
        "text": list(texts),
        **{fault: [found(fault, text) for text in texts] for fault in FAULTS},
        "leaked_name": [
            leaked_name(record.image, text) for record, text in zip(records, texts, strict=True)
        ],
        "foreign_share": [foreign_share(text) for text in texts],
        "is_english": [is_english(text) for text in texts],
    }


def _facts(facts: Sequence[ImageFacts], n: int) -> dict[str, list[object]]:
    """What the images show, column by column; nothing where none was opened."""
    if not facts:
        return {name: [None] * n for name in _FACTS}
    columns: dict[str, list[object]] = {
        name: [getattr(one, name) for one in facts] for name in _FACTS
    }
    sides = [(one.width, one.height) if one.width and one.height else None for one in facts]
    columns["short_side"] = [min(side) if side else None for side in sides]
    columns["long_side"] = [max(side) if side else None for side in sides]
    columns["aspect"] = [max(side) / min(side) if side else None for side in sides]
    return columns


def _copies(table: pd.DataFrame) -> pd.Series:
    """For each row, "IMAGE in SPLIT" of the same bytes in a split that comes before its own."""
    priority = _priority(table["split"])
    known = table[table["md5"].notna()].assign(priority=priority)
    kept = known.sort_values(["priority", "line"]).drop_duplicates("md5").set_index("md5")
    mine = kept.reindex(table["md5"]).set_index(table.index)
    is_copy = table["md5"].notna() & (mine["priority"] < priority)
    name = mine["image"] + " in " + mine["split"]
    return name.where(is_copy).astype(object).where(is_copy, None)


def _near_copies(
    table: pd.DataFrame,
    images: Sequence[str],
    facts: Sequence[ImageFacts],
    config: ValidationConfig,
) -> list[str | None]:
    """For each row, "IMAGE in SPLIT" that looks the same in a split that comes before its own."""
    known = [(image, one) for image, one in zip(images, facts, strict=True) if one.likeness]
    looks = np.frombuffer(b"".join(one.likeness or b"" for _, one in known), np.uint8)
    pairs = near_duplicates(looks.reshape(-1, SIZE), config.near_bits, config.near_difference)
    good = table[table["image"].notna()]
    split = dict(zip(good["image"], good["split"], strict=True))
    priority = dict(zip(good["image"], _priority(good["split"]), strict=True))
    found: dict[str, str] = {}
    for one, other in pairs.tolist():
        (kept, a), (lost, b) = known[one], known[other]
        if priority[lost] < priority[kept]:
            (kept, a), (lost, b) = (lost, b), (kept, a)
        if priority[kept] != priority[lost] and a.md5 != b.md5:
            found.setdefault(lost, f"{kept} in {split[kept]}")
    return [found.get(image) if isinstance(image, str) else None for image in table["image"]]


def _priority(splits: pd.Series) -> pd.Series:
    """Which split keeps a picture: losing a training image costs least, a test image most."""
    return splits.map({split: -number for number, split in enumerate(SPLITS)})
