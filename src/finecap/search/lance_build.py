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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lancedb  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
from lancedb import query as lance_query  # pyright: ignore[reportMissingTypeStubs]
from lancedb.index import FTS, Bitmap, BTree, LabelList  # pyright: ignore[reportMissingTypeStubs]

from finecap.search.index import (
    Hit,
    IndexRefused,
    Manifest,
    Row,
    SearchRequest,
    StoredCaption,
    check_field,
    check_vector,
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
    matched_words,
    ranks,
    reciprocal_rank,
    weighted,
)
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
_DEPTH = 100
"""Candidates of each ranking that fusion sees, at least ten per hit asked for."""
_TIE_WINDOW = 4096
"""Ties at a ranking's end are completed up to so many rows; past it the engine's cut stands."""

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
        if request.limit < 1:
            raise IndexRefused(f"limit is {request.limit}, expected at least 1")
        if request.vector is not None:
            check_vector(request.vector, self.manifest.dims, "query")
        left = (
            None if request.filter is None else np.flatnonzero(self._postings.mask(request.filter))
        )
        if left is not None and not len(left):
            return []
        if not request.text and request.vector is None:
            return self._hits([(int(row), 0.0) for row in self._first(left, request)], [], [], "")
        return self._ranked(request, left)

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
            others=tuple(StoredCaption(**other) for other in stored["others"]),
        )

    def _saying(self, text: str) -> Mask:
        """Which rows' captions have one of the words, (N,)."""
        query = self._table.search(_match(text, "caption"), query_type="fts").select(["row"])
        said = np.zeros(self.manifest.rows, dtype=np.bool_)
        said[query.limit(self.manifest.rows).to_arrow().column("row").to_numpy()] = True
        return said

    def _first(self, left: "np.ndarray | None", request: SearchRequest) -> "np.ndarray":
        """Row numbers in image order: what a filter alone answers."""
        rows = np.arange(self.manifest.rows) if left is None else left
        return rows[: request.limit]

    def _ranked(self, request: SearchRequest, left: "np.ndarray | None") -> list[Hit]:
        """Hits by words, by picture, or by both fused."""
        fused = bool(request.text) and request.vector is not None
        depth = max(_DEPTH, 10 * request.limit) if fused else request.limit
        words = self._words(request.text, request.filter, depth) if request.text else []
        pictures: list[tuple[int, float]] = []
        if request.vector is not None:
            vector = request.vector
            pictures = _with_ties(lambda n: self._vectors.nearest(vector, n, left), depth)
        order = _fuse(words, pictures, request) if fused else words or pictures
        return self._hits(order[: request.limit], words, pictures, request.text)

    def _words(self, text: str, filter_: Filter | None, depth: int) -> list[tuple[int, float]]:
        """Rows by BM25, ties by row."""

        def best(limit: int) -> list[tuple[int, float]]:
            query = self._table.search(_match(text, "caption"), query_type="fts")
            if filter_ is not None:
                query = query.where(sql(filter_), prefilter=True)
            found = query.select(["row", "_score"]).limit(limit).to_arrow()
            scored = zip(
                found.column("row").to_pylist(), found.column("_score").to_pylist(), strict=True
            )
            return sorted(scored, key=lambda item: (-item[1], item[0]))

        return _with_ties(best, min(depth, self.manifest.rows))

    def _hits(
        self,
        order: list[tuple[int, float]],
        words: list[tuple[int, float]],
        pictures: list[tuple[int, float]],
        text: str,
    ) -> list[Hit]:
        """Rows with their scores as hits, captions and attributes read from the table."""
        if not order:
            return []
        wanted = ", ".join(str(row) for row, _ in order)
        found = self._table.search().where(f"row IN ({wanted})").limit(len(order)).to_arrow()
        rows = {row["row"]: row for row in found.to_pylist()}
        by_words, by_picture = _explained(words), _explained(pictures)
        return [
            Hit(
                image=rows[row]["image"],
                path=rows[row]["path"],
                caption=rows[row]["caption"],
                score=score,
                bm25_rank=by_words.get(row, (None, None))[0],
                bm25_score=by_words.get(row, (None, None))[1],
                vector_rank=by_picture.get(row, (None, None))[0],
                vector_score=by_picture.get(row, (None, None))[1],
                matched_words=matched_words(text, rows[row]["caption"]),
                attributes={name: tuple(rows[row][name]) for name in ATTRIBUTES},
            )
            for row, score in order
        ]


def _with_ties(
    best: Callable[[int], list[tuple[int, float]]], depth: int
) -> list[tuple[int, float]]:
    """At least `depth` best rows where there are so many, and all that tie with the last of them.

    An engine asked for ten of fifty equal rows returns whichever it met first; asking on until the
    ties are complete makes the cut ours, by row number.
    """
    limit = depth + 1
    while True:
        found = best(limit)
        complete = len(found) < limit or found[-1][1] < found[depth - 1][1]
        if complete or limit >= _TIE_WINDOW:
            return found
        limit = min(4 * limit, max(_TIE_WINDOW, depth + 1))


def _fuse(
    words: list[tuple[int, float]], pictures: list[tuple[int, float]], request: SearchRequest
) -> list[tuple[int, float]]:
    """Row numbers by fused score; names of equal width keep ties in row order."""
    named = [_named(words), _named(pictures)]
    weight = request.picture_weight
    fused = reciprocal_rank(named) if weight is None else weighted(*named, picture_weight=weight)
    return [(int(name), score) for name, score in fused]


def _named(ranking: list[tuple[int, float]]) -> Ranking:
    return [(f"{row:012d}", score) for row, score in ranking]


def _explained(ranking: list[tuple[int, float]]) -> dict[int, tuple[int, float]]:
    """(rank, score) by row."""
    placed = ranks(_named(ranking))
    return {row: (placed[f"{row:012d}"], score) for row, score in ranking}
