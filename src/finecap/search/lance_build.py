"""One sealed build on one machine: written once from the rows that LanceDB staged, then only read.

What lies in it: captions ranked by BM25 under filters (`words.py`), vectors scanned exactly
(`vectors.py`), which rows have which value (`postings.py`), and the rows (`stored_rows.py`). Rows
are numbered in image order, so equal scores are in image order wherever row numbers are compared.
Which builds exist is `lance.py`'s business.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from finecap.search.checks import check_request
from finecap.search.codes import CODES, WORTH_CODES, Codes, write_codes
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
    FIELDS,
    STOP_WORDS,
    Filter,
    analysed,
)
from finecap.search.ranking import Ranked, rank
from finecap.search.stored_rows import StoredRows, shown, write_rows
from finecap.search.vectors import FlatVectors, Nearest, write_vectors
from finecap.search.words import RankedWords, write_words

VECTORS = "vectors.npy"
PARAMETERS: dict[str, str | int | float | bool | list[str]] = {
    "engine": "lancedb",
    "words": "tantivy, bm25",
    "stop_words": list(STOP_WORDS),
    "vectors": "flat fp16, exact",
}
_BATCH_ROWS = 10_000


def seal_rows(folder: Path, staged: Any) -> None:
    """Write the staged rows, an Arrow table of `lance_staging`, as a build's final files."""
    table = staged.sort_by("image")
    dims = table.schema.field("vector").type.list_size
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(-1, dims).astype(np.float16)
    write_vectors(folder / VECTORS, vectors)
    if vectors.size >= WORTH_CODES:
        write_codes(folder, vectors)
    said: list[str] = []
    values: dict[str, list[Sequence[str]]] = {name: [] for name in FIELDS}
    rows = _noting(said, values, _texts(table, "row"))
    write_rows(folder, _texts(table, "image"), rows)
    write_postings(folder, values, said)
    write_words(folder, said, values)


def _texts(table: Any, column: str) -> Iterator[str]:
    """A column's texts, one by one."""
    for batch in table.select([column]).to_batches(max_chunksize=_BATCH_ROWS):
        yield from batch.column(0).to_pylist()


def _noting(
    said: list[str], values: Mapping[str, list[Sequence[str]]], rows: Iterable[str]
) -> Iterator[str]:
    """The packed rows one by one, what is searched of them noted on the way."""
    for row in rows:
        caption, has = shown(row)
        said.append(" ".join(analysed(caption)))
        for name in FIELDS:
            values[name].append(has[name])
        yield row


class LanceBuild:
    """A sealed build, open for reading."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open the files.

        Raises:
            IndexRefused: they are not what the manifest says.
        """
        self.manifest = manifest
        self._said = RankedWords(folder)
        codes = Codes(folder) if (folder / CODES).is_file() else None
        self._vectors = FlatVectors(folder / VECTORS, codes)
        self._postings = Postings(folder, manifest.rows)
        self._rows = StoredRows(folder)
        found = (self._said.count(), self._vectors.rows, self._vectors.dims)
        if found != (manifest.rows, manifest.rows, manifest.dims):
            raise IndexRefused(
                f"build {manifest.build_id} in {folder} has (rows, vectors, dims) {found}, its "
                f"manifest says {(manifest.rows, manifest.rows, manifest.dims)}: build it again"
            )

    def search(self, request: SearchRequest) -> list[Hit]:
        """The best hits, best first, ties by image."""
        check_request(request, self.manifest.dims)
        mask = None
        if request.filter is not None and (request.vector is not None or not request.text):
            mask = self._postings.mask(request.filter)  # words alone are filtered where they are
            if not mask.any():
                return []
        if request.text or request.vector is not None:
            ranked = rank(
                request,
                lambda limit: self._said.saying(request.text, limit, request.filter),
                lambda limit: self._pictures(request.vector, mask, limit),
            )
        else:
            first = np.arange(self.manifest.rows) if mask is None else np.flatnonzero(mask)
            ranked = Ranked([(row, 0.0) for row in first[: request.limit].tolist()])
        hits = {row: self._rows.hit(row) for row, _ in ranked.order}
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
        noted = self._postings.saying(frozenset(analysed(text)))
        if noted is not None:
            return noted
        said = np.zeros(self.manifest.rows, dtype=np.bool_)
        said[self._said.all_saying(text)] = True
        return said

    def _pictures(self, vector: Vector | None, mask: Mask | None, limit: int) -> Nearest:
        """Rows by cosine, ties by row."""
        if vector is None:
            return []
        left = None if mask is None else np.flatnonzero(mask)
        return self._vectors.nearest(vector, limit, left)
