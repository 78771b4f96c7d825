"""Every line of `captions.jsonl` as a row of numbers and texts that expectations can be put to.

Also lines that are no record have a row (their `parse_error` says why), so that nothing is lost
between the file and the verdict. What stays out: the bounds (`suite`) and what happens to a row
that fails (`expectations`).
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finecap.data.image_facts import ImageFacts, image_facts
from finecap.data.records import SPLITS, Problem, Record

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
    "missing",
    "decode_error",
    "width",
    "height",
    "short_side",
    "long_side",
    "md5",
    "copy_of",
)


def records_table(
    folder: Path, rows: Sequence[tuple[int, Record]], problems: Sequence[Problem]
) -> pd.DataFrame:
    """One row per line, sorted by line, with the columns `COLUMNS`.

    `named` is the image a line names even where the line is no record; `image` is null there, so
    that a bad second line casts no doubt on the first. `text` is all of a record's text. `copy_of`
    names an image of the same bytes in the split that keeps it (test before val before train), and
    is null on rows that stay.
    """
    facts = image_facts(folder, [record.image for _, record in rows])
    good = [_row(line, record, seen) for (line, record), seen in zip(rows, facts, strict=True)]
    bad = [
        {"line": problem.line, "named": problem.image, "parse_error": problem.reason}
        for problem in problems
    ]
    table = pd.DataFrame([*good, *bad], columns=list(COLUMNS), dtype=object)
    table = table.sort_values("line", ignore_index=True)
    numbers = ["width", "height", "short_side", "long_side"]
    words = ["caption_count", "shortest_words", "longest_words"]
    table[numbers + words] = table[numbers + words].astype("float64")  # NaN where unknown
    table["line"] = table["line"].astype("int64")
    table["copy_of"] = _copies(table)
    return table


def _row(line: int, record: Record, facts: ImageFacts) -> dict[str, object]:
    lengths = [len(caption.split()) for caption in record.captions]
    sides = (facts.width, facts.height) if facts.width and facts.height else None
    return {
        "line": line,
        "named": record.image,
        "image": record.image,
        "split": record.split,
        "part": record.part,
        "caption_count": len(record.captions),
        "shortest_words": min(lengths),
        "longest_words": max(lengths),
        "text": " / ".join((*record.captions, record.alt_text or "")),
        "missing": facts.missing,
        "decode_error": facts.decode_error,
        "width": facts.width,
        "height": facts.height,
        "short_side": min(sides) if sides else None,
        "long_side": max(sides) if sides else None,
        "md5": facts.md5,
    }


def _copies(table: pd.DataFrame) -> pd.Series:
    """For each row, "IMAGE in SPLIT" of the same bytes in a split that comes before its own."""
    # Losing a training image costs least, losing a test image most.
    priority = table["split"].map({split: -number for number, split in enumerate(SPLITS)})
    known = table[table["md5"].notna()].assign(priority=priority)
    kept = known.sort_values(["priority", "line"]).drop_duplicates("md5").set_index("md5")
    mine = kept.reindex(table["md5"]).set_index(table.index)
    is_copy = table["md5"].notna() & (mine["priority"] < priority)
    name = mine["image"] + " in " + mine["split"]
    return name.where(is_copy).astype(object).where(is_copy, None)
