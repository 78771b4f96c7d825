"""The rows of a build as a table in a file: JSON, JSON lines, CSV or parquet, by its ending."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from finecap.search.index import CaptionIndex, Manifest, Row, SearchRequest, stored_captions
from finecap.search.query import ATTRIBUTES

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
_BATCH = 1_000


class ExportError(ValueError):
    """An export that cannot be made as asked."""


def all_rows(index: CaptionIndex, manifest: Manifest) -> Iterator[Row]:
    """Every row of a build, in image order."""
    hits = index.search(SearchRequest(limit=manifest.rows), manifest.build_id)
    images = [hit.image for hit in hits]
    for start in range(0, len(images), _BATCH):
        yield from index.rows(images[start : start + _BATCH], manifest.build_id)


def check_suffix(file: Path) -> None:
    """Refuse an ending that names no format.

    Raises:
        ExportError: it does not.
    """
    if file.suffix not in SUFFIXES:
        raise ExportError(f"{file} ends in {file.suffix!r}, expected one of {', '.join(SUFFIXES)}")


def write_table(rows: Iterator[Row], file: Path) -> int:
    """Write the rows, whole or not at all; returns how many.

    In CSV a list is its values joined by `;`, and all captions of an image are one JSON text.

    Raises:
        ExportError: the ending names no format.
    """
    check_suffix(file)
    records = [_record(row) for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    if file.suffix == ".parquet":
        pd.DataFrame(records).to_parquet(partial, index=False)
    elif file.suffix == ".csv":
        pd.DataFrame([_flat(record) for record in records]).to_csv(partial, index=False)
    elif file.suffix == ".jsonl":
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        partial.write_text("".join(lines), encoding="utf-8")
    else:
        text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
        partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    return len(records)


def _record(row: Row) -> dict[str, Any]:
    """A row as it is exported: without its vector."""
    return {
        "image": row.image,
        "path": row.path,
        "caption": row.caption,
        **{name: list(row.attributes.get(name, ())) for name in ATTRIBUTES},
        "split": row.split,
        "model_version": row.model_version,
        "variant": row.variant,
        "captions": [
            {
                "caption": stored.caption,
                "source": stored.source,
                "model_version": stored.model_version,
                "variant": stored.variant,
                "is_current": stored.is_current,
            }
            for stored in stored_captions(row)
        ],
    }


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    lists = {name: ";".join(record[name]) for name in ATTRIBUTES}
    return {**record, **lists, "captions": json.dumps(record["captions"], ensure_ascii=False)}
