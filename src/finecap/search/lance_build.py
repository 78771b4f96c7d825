"""One sealed build as LanceDB and a flat vector file hold it: written once, then only read.

Lance keeps the rows, BM25 over captions and the attribute indices; vectors lie beside it in a flat
file that is scanned exactly (`vectors.py`). Rows are numbered in image order, so equal scores are
in image order wherever row numbers are compared. Which builds exist is `lance.py`'s business.

Why these tokenizer options: stemming, because a person who types "boats" wants "boat"; our own stop
words, because words of place tell captions apart (see `query.STOP_WORDS`); no positions, because
phrases are not searched and they double the index. Measured on 1,500 drawn captions against a BM25
of ours: top-10 overlap 1.0 (three words) and 0.91 (whole captions) with the same stems and stop
words; against bare words 0.78 and 0.61 where a tenth of the nouns are plurals. Without stemming
those would be 0.96 and 0.78, and "boats" would find no boat.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lancedb  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
from lancedb import query as lance_query  # pyright: ignore[reportMissingTypeStubs]
from lancedb.index import FTS, Bitmap, BTree, LabelList  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from finecap.search.index import (
    Derived,
    Hit,
    IndexRefused,
    Manifest,
    Row,
    SearchRequest,
    StoredCaption,
    Vector,
    check_field,
)
from finecap.search.postings import Mask, Postings, write_postings
from finecap.search.query import (
    ATTRIBUTES,
    STOP_WORDS,
    And,
    Filter,
    Has,
    Not,
    Or,
    Ranking,
)
from finecap.search.ranking import Ranked, check_request, rank
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
_BITMAPS = ("split", "model_version")

_pa = cast("Any", pa)
_match = cast("Any", lance_query.MatchQuery)


def seal_rows(folder: Path, staged: Any) -> None:
    """Write the staged rows, an Arrow table with `vector`, as a build's final files."""
    rows = staged.sort_by("image")
    dims = rows.schema.field("vector").type.list_size
    flat = rows.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    write_vectors(folder / VECTORS, flat.reshape(-1, dims).astype(np.float16))
    columns = {name: rows.column(name).to_pylist() for name in ATTRIBUTES}
    columns |= {name: [[v] for v in rows.column(name).to_pylist()] for name in _BITMAPS}
    write_postings(folder, columns)
    numbered = rows.drop_columns(["vector"]).append_column(
        "row", _pa.array(np.arange(rows.num_rows, dtype=np.int64))
    )
    shutil.rmtree(
        folder / f"{TABLE}.lance", ignore_errors=True
    )  # of a finish that failed its check
    table = cast("Any", lancedb.connect(folder)).create_table(TABLE, numbered)
    table.create_index("caption", config=_full_text())
    for field in ATTRIBUTES:
        table.create_index(field, config=LabelList())
    for field in _BITMAPS:
        table.create_index(field, config=Bitmap())
    for field in ("image", "row"):
        table.create_index(field, config=BTree())


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
        self._table = cast("Any", lancedb.connect(folder)).open_table(TABLE)
        found = (self._table.count_rows(), self._vectors.rows, self._vectors.dims)
        if found != (manifest.rows, manifest.rows, manifest.dims):
            raise IndexRefused(
                f"build {manifest.build_id} in {folder} has (rows, vectors, dims) {found}, its "
                f"manifest says {(manifest.rows, manifest.rows, manifest.dims)}: build it again"
            )

    def search(self, request: SearchRequest) -> list[Hit]:
        """The best hits, best first, ties by image."""
        check_request(request, self.manifest.dims)
        left = None if request.filter is None else self._rows_left(request.filter)
        if left is not None and not len(left):
            return []
        if request.text or request.vector is not None:
            ranked = rank(
                request,
                lambda limit: self._words(request.text, request.filter, limit),
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
        if not images:
            return []
        quoted = ", ".join("'" + image.replace("'", "''") + "'" for image in images)
        found = self._table.search().where(f"image IN ({quoted})").limit(len(images)).to_arrow()
        held = {row["image"]: row for row in found.to_pylist()}
        return [self._row(held[image]) for image in images if image in held]

    def _row(self, stored: Mapping[str, Any]) -> Row:
        return Row(
            image=stored["image"],
            path=stored["path"],
            caption=stored["caption"],
            vector=self._vectors.vector(stored["row"]),
            attributes={name: tuple(stored[name]) for name in ATTRIBUTES},
            split=stored["split"],
            model_version=stored["model_version"],
            variant=stored["variant"],
            others=tuple(_stored_caption(other) for other in stored["others"]),
            caption_vector=_vector(stored["caption_vector"]),
            hidden=stored["hidden"],
        )

    def _saying(self, text: str) -> Mask:
        """Which rows' captions have one of the words, (N,)."""
        query = self._table.search(_match(text, "caption"), query_type="fts")
        said = np.zeros(self.manifest.rows, dtype=np.bool_)
        found = query.select(["row", "_score"]).limit(self.manifest.rows).to_arrow()
        said[found.column("row").to_numpy()] = True
        return said

    def _rows_left(self, filter_: Filter) -> NDArray[np.int64]:
        """Numbers of the rows that pass, ascending."""
        return np.flatnonzero(self._postings.mask(filter_))

    def _words(self, text: str, filter_: Filter | None, limit: int) -> Ranking:
        """Rows by BM25, ties by row."""
        query = self._table.search(_match(text, "caption"), query_type="fts")
        if filter_ is not None:
            query = query.where(sql(filter_), prefilter=True)
        found = query.select(["row", "_score"]).limit(min(limit, self.manifest.rows)).to_arrow()
        rows, scores = found.column("row").to_pylist(), found.column("_score").to_pylist()
        scored = sorted(zip(rows, scores, strict=True), key=lambda item: (-item[1], item[0]))
        return [(_name(row), score) for row, score in scored]

    def _pictures(
        self, vector: Vector | None, left: NDArray[np.int64] | None, limit: int
    ) -> Ranking:
        """Rows by cosine, ties by row."""
        if vector is None:
            return []
        return [(_name(row), score) for row, score in self._vectors.nearest(vector, limit, left)]

    def _hits(self, rows: Sequence[int]) -> dict[str, Hit]:
        """Captions and attributes of these rows, by name; scores are not known here."""
        if not rows:
            return {}
        wanted = ", ".join(map(str, rows))
        found = self._table.search().where(f"row IN ({wanted})").limit(len(rows)).to_arrow()
        return {
            _name(row["row"]): Hit(
                image=row["image"],
                path=row["path"],
                caption=row["caption"],
                score=0.0,
                attributes={name: tuple(row[name]) for name in ATTRIBUTES},
            )
            for row in found.to_pylist()
        }


def _stored_caption(record: Mapping[str, Any]) -> StoredCaption:
    return StoredCaption(
        record["caption"],
        record["source"],
        record["model_version"],
        record["variant"],
        derived=tuple(Derived(**derived) for derived in record["derived"]),
        trained=tuple(record["trained"]),
        vector=_vector(record["vector"]),
    )


def _vector(halves: bytes | None) -> Vector | None:
    return None if halves is None else np.frombuffer(halves, dtype="<f2").astype(np.float32)


def _name(row: int) -> str:
    """The row's number at a width at which names sort as rows do."""
    return f"{row:012d}"
