"""Captions of one sealed build, ranked by BM25 under filters: the part that tantivy answers.

    words/    one segment whose documents are the rows in image order: the words of each caption,
              and what filters ask of it as "field=value"

Why tantivy, and not the full text of LanceDB, which keeps the rows in the making: a question to
LanceDB takes 2.5 to 3 ms of processor however few rows there are, and 5.9 in 1,000,000; tantivy's
take 0.8. A sealed build never changes, so nothing of what LanceDB adds to such an index is missed.

Why words are analysed here: stems and stop words are then one thing on all engines, and what a page
marks is what was ranked. Why one segment: equal scores come in the order of documents, which is the
images'. Why a filter is part of the question: top 20 of the 5 % that say "red" take 1.2 ms so, and
1.7 where 1,300 of all rows are looked through for them. No positions: phrases are not searched.
BM25 is tantivy's, with k1 = 1.2 and b = 0.75 (Robertson, Zaragoza, "The probabilistic relevance
framework", 2009, eq. 3.15).
"""

import shutil
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Occur, Query, Schema

from finecap.search.checks import check_field
from finecap.search.index import IndexRefused
from finecap.search.query import And, Filter, Has, Not, Or, analysed

FOLDER = "words"
_SAID, _LABEL = "said", "label"
_ARENA_BYTES = 4_000_000_000
"""Written out as a segment when full: never, below some 100,000,000 captions. Taken as needed."""


def write_words(
    folder: Path, said: Iterable[str], values: Mapping[str, Sequence[Iterable[str]]]
) -> None:
    """Write and index the captions, in image order.

    Args:
        folder: of the build.
        said: the stems of each caption, spaces between.
        values: each row's, field by field.
    """
    place = folder / FOLDER
    shutil.rmtree(place, ignore_errors=True)  # of a finish that failed
    place.mkdir()
    index = tantivy.Index(_schema(), path=str(place))
    writer = index.writer(heap_size=_ARENA_BYTES, num_threads=1)
    for row, stems in enumerate(said):
        document = tantivy.Document()
        document.add_text(_SAID, stems)
        for field, of_rows in values.items():
            for value in set(of_rows[row]):
                document.add_text(_LABEL, _label(field, value))
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    for lock in place.glob(".tantivy-*.lock"):
        lock.unlink()


def _schema() -> Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(_SAID, tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field(_LABEL, tokenizer_name="raw", index_option="basic")
    return builder.build()


def _label(field: str, value: str) -> str:
    return f"{field}={value}"


_TRIES = 5
"""A thread of tantivy's looks at a folder once more after it is open, and may lock it meanwhile."""


class RankedWords:
    """The captions of a build, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Open the index.

        Raises:
            IndexRefused: it is missing, damaged, or not one segment.
        """
        place = folder / FOLDER
        if not (place / "meta.json").is_file():
            raise IndexRefused(
                f"{folder} has no {FOLDER}/, expected a build of this version: build the index anew"
            )
        with _linked(place) as links:
            try:
                index = tantivy.Index.open(str(links))
            except ValueError as error:
                raise IndexRefused(f"{place}: {error}: build the index anew") from error
            index.config_reader("manual")  # sealed: there is no commit to look out for
            self._schema, self._searcher = index.schema, index.searcher()
        if self._searcher.num_segments != 1:
            raise IndexRefused(
                f"{place} has {self._searcher.num_segments} segments, expected one: ties would not "
                "be in image order"
            )

    def count(self) -> int:
        """How many captions there are."""
        return self._searcher.num_docs

    def saying(
        self, text: str, limit: int, filter_: Filter | None = None
    ) -> list[tuple[int, float]]:
        """Numbers and BM25 scores of the best rows that pass, best first, ties by row."""
        asked = self._any_of(text)
        if filter_ is not None:
            passing = Query.const_score_query(self._passing(filter_), 0.0)
            asked = Query.boolean_query([(Occur.Must, asked), (Occur.Must, passing)])
        found = self._searcher.search(asked, limit, count=False).hits
        return [(place.doc, score) for score, place in found]

    def all_saying(self, text: str) -> NDArray[np.int64]:
        """Numbers of all rows whose caption has one of the words, in no order: slow where many."""
        most = sum(self._searcher.doc_freq(_SAID, word) for word in set(analysed(text)))
        found = self._searcher.search(self._any_of(text), max(1, most), count=False).hits
        return np.fromiter((place.doc for _, place in found), np.int64, len(found))

    def _any_of(self, text: str) -> Query:
        """The text's words, each once: one asked twice counts no more."""
        terms = [self._term(_SAID, word) for word in dict.fromkeys(analysed(text))]
        return Query.boolean_query([(Occur.Should, term) for term in terms])

    def _passing(self, filter_: Filter) -> Query:
        """What the filter means.

        Raises:
            IndexRefused: a field no row has.
        """
        match filter_:
            case Has(field, value):
                check_field(field)
                return self._term(_LABEL, _label(field, value))
            case Not(inner):
                every = (Occur.Must, Query.all_query())
                return Query.boolean_query([every, (Occur.MustNot, self._passing(inner))])
            case And(filters):
                every = (Occur.Must, Query.all_query())
                required = [(Occur.Must, self._passing(inner)) for inner in filters]
                return Query.boolean_query(required or [every])
            case Or(filters):
                return Query.boolean_query([(Occur.Should, self._passing(f)) for f in filters])

    def _term(self, field: str, text: str) -> Query:
        option = "freq" if field == _SAID else "basic"
        return Query.term_query(self._schema, field, text, index_option=option)


@contextmanager
def _linked(place: Path) -> Generator[Path]:
    """A passing folder of links to those files: tantivy locks what it opens by writing beside it.

    What is sealed stays as it is, and whoever reads it needs no right to write. Links suffice
    until all is open, since tantivy maps files and maps stay.
    """
    links = Path(tempfile.mkdtemp(prefix="finecap-"))
    try:
        for path in place.iterdir():
            (links / path.name).symlink_to(path.resolve())
        yield links
    finally:
        for _ in range(_TRIES):
            shutil.rmtree(links, ignore_errors=True)
            if not links.exists():
                break
