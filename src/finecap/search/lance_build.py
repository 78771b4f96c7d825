"""One sealed build as LanceDB and a flat vector file hold it: written once, then only read.

LanceDB ranks captions by BM25 under filters; beside it lie flat files: vectors, scanned exactly
(`vectors.py`), which rows have which value (`postings.py`), and the rows (`stored_rows.py`). Rows
are numbered in image order, so equal scores are in image order wherever row numbers are compared.
Which builds exist is `lance.py`'s business.

Why these tokenizer options: stemming, because a person who types "boats" wants "boat"; our own stop
words, because words of place tell captions apart (see `query.STOP_WORDS`); no positions, because
phrases are not searched and they double the index. Measured on 1,500 drawn captions against a BM25
of ours: top-10 overlap 1.0 (three words) and 0.91 (whole captions) with the same stems and stop
words; against bare words 0.78 and 0.61 where a tenth of the nouns are plurals. Without stemming
those would be 0.96 and 0.78, and "boats" would find no boat.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import lancedb  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
from lancedb import query as lance_query  # pyright: ignore[reportMissingTypeStubs]
from lancedb.background_loop import LOOP  # pyright: ignore[reportMissingTypeStubs]
from lancedb.index import FTS, Bitmap, LabelList  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from finecap.search.checks import check_field, check_request
from finecap.search.index import (
    Hit,
    IndexRefused,
    Manifest,
    Row,
    SearchRequest,
    Vector,
)
from finecap.search.postings import Mask, Postings, write_postings
from finecap.search.query import (
    ATTRIBUTES,
    FIELDS,
    STOP_WORDS,
    And,
    Filter,
    Has,
    Not,
    Or,
    Ranking,
    by_score,
)
from finecap.search.ranking import Ranked, rank
from finecap.search.stored_rows import StoredRows, write_rows
from finecap.search.vectors import FlatVectors, write_vectors

TABLE = "captions"
VECTORS = "vectors.npy"
PARAMETERS: dict[str, str | int | float | bool | list[str]] = {
    "engine": "lancedb",
    "bm25_stem": True,
    "bm25_ascii_folding": True,
    "bm25_stop_words": list(STOP_WORDS),
    "vectors": "flat fp16, exact",
}
_BATCH_ROWS = 10_000
_SIFTED_MARGIN = 1.5
_SIFTED_MOST = 1_000

_pa = cast("Any", pa)
_match = cast("Any", lance_query.MatchQuery)


def seal_rows(folder: Path, staged: Any, as_row: Callable[[Mapping[str, Any]], Row]) -> None:
    """Write the staged rows, an Arrow table with `vector`, as a build's final files."""
    table = staged.sort_by("image")
    dims = table.schema.field("vector").type.list_size
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    write_vectors(folder / VECTORS, flat.reshape(-1, dims).astype(np.float16))
    values: dict[str, list[Sequence[str]]] = {name: [] for name in FIELDS}
    write_rows(folder, _noting(values, table.drop_columns(["vector"]), as_row))
    write_postings(folder, values)
    _seal_words(folder, table)


def _noting(
    values: dict[str, list[Sequence[str]]], table: Any, as_row: Callable[[Mapping[str, Any]], Row]
) -> Iterator[Row]:
    """The table's rows one by one, their values of each field noted on the way."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for record in batch.to_pylist():
            row = as_row(record)
            for name in ATTRIBUTES:
                values[name].append(row.attributes[name])
            values["split"].append((row.split,))
            values["model_version"].append((row.model_version,))
            yield row


def _seal_words(folder: Path, table: Any) -> None:
    """The LanceDB table: captions to rank, and what filters ask of them."""
    shutil.rmtree(
        folder / f"{TABLE}.lance", ignore_errors=True
    )  # of a finish that failed its check
    rows = _pa.array(np.arange(table.num_rows, dtype=np.int64))
    numbered = table.select(["caption", *FIELDS]).append_column("row", rows)
    made = cast("Any", lancedb.connect(folder)).create_table(TABLE, numbered)
    made.create_index("caption", config=_full_text())
    for field in FIELDS:
        made.create_index(field, config=LabelList() if field in ATTRIBUTES else Bitmap())


def _full_text() -> FTS:
    return FTS(
        with_position=False,
        stem=True,
        ascii_folding=True,
        remove_stop_words=True,
        custom_stop_words=list(STOP_WORDS),
    )


def sql(filter_: Filter) -> str:
    """The filter in Lance's own language; values are quoted, fields are checked.

    Raises:
        IndexRefused: a field no row has.
    """
    match filter_:
        case Has(field, value):
            check_field(field)
            literal = "'" + value.replace("'", "''") + "'"
            listed = field in ATTRIBUTES
            return f"array_has_any({field}, [{literal}])" if listed else f"{field} = {literal}"
        case Not(inner):
            return f"(NOT {sql(inner)})"
        case And(filters):
            return "(" + " AND ".join(map(sql, filters)) + ")" if filters else "true"
        case Or(filters):
            return "(" + " OR ".join(map(sql, filters)) + ")" if filters else "false"


class LanceBuild:
    """A sealed build, open for reading."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open the files.

        Raises:
            IndexRefused: they are not what the manifest says.
        """
        self.manifest = manifest
        self._vectors = FlatVectors(folder / VECTORS)
        self._postings = Postings(folder, manifest.rows)
        self._rows = StoredRows(folder)
        self._table = LOOP.run(_opened(folder))
        found = (LOOP.run(self._table.count_rows()), self._vectors.rows, self._vectors.dims)
        if found != (manifest.rows, manifest.rows, manifest.dims):
            raise IndexRefused(
                f"build {manifest.build_id} in {folder} has (rows, vectors, dims) {found}, its "
                f"manifest says {(manifest.rows, manifest.rows, manifest.dims)}: build it again"
            )

    def search(self, request: SearchRequest) -> list[Hit]:
        """The best hits, best first, ties by image."""
        check_request(request, self.manifest.dims)
        mask = None if request.filter is None else self._postings.mask(request.filter)
        left = None if mask is None else np.flatnonzero(mask)
        if left is not None and not len(left):
            return []
        if request.text or request.vector is not None:
            ranked = rank(
                request,
                lambda limit: self._words(request, mask, limit),
                lambda limit: self._pictures(request.vector, left, limit),
            )
        else:
            first = np.arange(self.manifest.rows) if left is None else left
            ranked = Ranked([(_name(int(row)), 0.0) for row in first[: request.limit]])
        hits = self._hits([int(name) for name, _ in ranked.order])
        return ranked.explained(hits, request.text, "bm25")

    def facets(self, filter_: Filter | None, text: str) -> Mapping[str, Mapping[str, int]]:
        """Rows with each value, of those that pass and whose caption has one of the words."""
        masks = [] if filter_ is None else [self._postings.mask(filter_)]
        if text:
            masks.append(self._saying(text))
        return self._postings.counts(np.logical_and.reduce(masks) if masks else None)

    def rows(self, images: Sequence[str]) -> list[Row]:
        """Rows with their vectors, in the order asked."""
        numbers = [self._rows.number(image) for image in images]
        return [
            replace(self._rows.row(number), vector=self._vectors.vector(number))
            for number in numbers
            if number is not None
        ]

    def _saying(self, text: str) -> Mask:
        """Which rows' captions have one of the words, (N,)."""
        said = np.zeros(self.manifest.rows, dtype=np.bool_)
        said[LOOP.run(self._asked(text, None, self.manifest.rows)).column("row").to_numpy()] = True
        return said

    def _words(self, request: SearchRequest, mask: Mask | None, limit: int) -> Ranking:
        """Rows by BM25, ties by row."""
        if mask is not None:
            found = self._sifted(request.text, mask, limit)
            if found is not None:
                return found
        return _ranking(LOOP.run(self._asked(request.text, request.filter, limit)))

    def _sifted(self, text: str, mask: Mask, limit: int) -> Ranking | None:
        """`_words` by asking for more and leaving out what does not pass; None where that is long.

        A filter that leaves many rows costs the engine 17 ms of 1,000,000 captions, a thousand more
        rows 6.
        """
        wide = int(_SIFTED_MARGIN * limit * len(mask) / np.count_nonzero(mask))
        if wide > _SIFTED_MOST:
            return None
        found = LOOP.run(self._asked(text, None, wide))
        passing = _ranking(found.filter(mask[found.column("row").to_numpy()]))
        if found.num_rows < wide:
            return passing
        last = min(found.column("_score").to_pylist())
        # Rows that tie with the last one found may be missing: what is above it is complete.
        is_complete = len(passing) >= limit and passing[limit - 1][1] > last
        return passing[:limit] if is_complete else None

    async def _asked(self, text: str, filter_: Filter | None, limit: int) -> Any:
        """Rows and scores, an Arrow table; one trip to the engine; its sync form takes six."""
        query = self._table.query().nearest_to_text(_match(text, "caption"))
        if filter_ is not None:
            query = query.where(sql(filter_))
        wanted = min(limit, self.manifest.rows)
        return await query.select(["row", "_score"]).limit(wanted).to_arrow()

    def _pictures(
        self, vector: Vector | None, left: NDArray[np.int64] | None, limit: int
    ) -> Ranking:
        """Rows by cosine, ties by row."""
        if vector is None:
            return []
        return [(_name(row), score) for row, score in self._vectors.nearest(vector, limit, left)]

    def _hits(self, rows: Sequence[int]) -> dict[str, Hit]:
        """Captions and attributes of these rows, by name; scores are not known here."""
        stored = {_name(number): self._rows.row(number) for number in rows}
        return {
            name: Hit(row.image, row.path, row.caption, 0.0, attributes=row.attributes)
            for name, row in stored.items()
        }


async def _opened(folder: Path) -> Any:
    database = await cast("Any", lancedb).connect_async(folder)
    return await database.open_table(TABLE)


def _ranking(found: Any) -> Ranking:
    """Rows and scores as they came, ties by row."""
    rows, scores = found.column("row").to_pylist(), found.column("_score").to_pylist()
    return by_score({_name(r): float(s) for r, s in zip(rows, scores, strict=True)})


def _name(row: int) -> str:
    """The row's number at a width at which names sort as rows do."""
    return f"{row:012d}"
