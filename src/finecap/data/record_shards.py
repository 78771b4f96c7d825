"""Records in Parquet shards, for data sets whose `captions.jsonl` would be gigabytes.

A folder of `*.parquet`, read in the order of their names, some thousand rows at a time. Columns are
the fields of a record, `captions` a list of texts, `facts` JSON as in `captions.jsonl`; those that
all rows leave out may be missing. What stays out: what a record must be (`record`).
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecap.data.record import Record, RecordError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 4096  # rows in memory at a time
_SHARD = 25 * _BATCH  # rows of a file that is written here
_NEEDED = ("image", "split", "captions")
_OPTIONAL = ("part", "alt_text", "facts")


def shard_rows(folder: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every row, as a line of `captions.jsonl` has it, and its number, counted from 1 through all.

    Raises:
        FileNotFoundError: no shard is there.
        RecordError: one is no Parquet, or has columns other than a record's fields.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise FileNotFoundError(f"{folder} has no *.parquet, expected shards of records there")
    number = 0
    for shard in shards:
        try:
            with pq.ParquetFile(shard) as file:
                _check_columns(shard, file.schema_arrow.names)
                for batch in file.iter_batches(_BATCH):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, _row(row)
        except pa.ArrowInvalid as error:
            raise RecordError(f"{shard} is no Parquet file: {error}") from error


def write_shards(folder: Path, records: Iterable[Record]) -> None:
    """Write `folder` whole or not at all; one that is there is replaced."""
    import pyarrow.parquet as pq

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    rest, number = iter(records), 0
    while batch := list(islice(rest, _BATCH)):
        with pq.ParquetWriter(partial / f"{number:05}.parquet", _schema()) as writer:
            writer.write_batch(_batch(batch))
            for _ in range(_SHARD // _BATCH - 1):
                if batch := list(islice(rest, _BATCH)):
                    writer.write_batch(_batch(batch))
        number += 1
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _check_columns(shard: Path, names: list[str]) -> None:
    if missing := [name for name in _NEEDED if name not in names]:
        raise RecordError(f"{shard} has no column {missing[0]}, expected {', '.join(_NEEDED)}")
    if unknown := [name for name in names if name not in (*_NEEDED, *_OPTIONAL)]:
        known = ", ".join((*_NEEDED, *_OPTIONAL))
        raise RecordError(f"{shard} has an unknown column {unknown[0]}, expected only {known}")


def _row(row: dict[str, Any]) -> Mapping[str, Any]:
    """The row without what it leaves out."""
    found = {name: value for name, value in row.items() if value is not None or name in _NEEDED}
    facts = found.get("facts")
    if isinstance(facts, str):
        with suppress(json.JSONDecodeError):  # it stays text, which is refused as no facts
            found["facts"] = json.loads(facts)
    return found


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text = pa.string()
    types = [text, text, pa.list_(text), text, text, text]
    return pa.schema(list(zip((*_NEEDED, *_OPTIONAL), types, strict=True)))


def _batch(records: list[Record]) -> "pa.RecordBatch":
    import pyarrow as pa

    columns = {
        "image": [r.image for r in records],
        "split": [r.split for r in records],
        "captions": [list(r.captions) for r in records],
        "part": [r.part or None for r in records],
        "alt_text": [r.alt_text for r in records],
        "facts": [json.dumps(r.facts) if r.facts is not None else None for r in records],
    }
    return pa.RecordBatch.from_pydict(columns, schema=_schema())
