"""Questions to one build in PostgreSQL: SQL, with every value a parameter.

Words are ranked by BM25 (Robertson, Zaragoza, "The probabilistic relevance framework", 2009, eq.
3.15; k1, b as there), summed in SQL over the rows that a GIN index finds: `ts_rank_cd` of one word
alone is how often it comes. Why not `ts_rank_cd` of the whole query: it knows no word's rarity, and
known items came at a mean reciprocal rank of 0.50 where BM25's is 0.70. Why no extension: servers
seldom have one, and stems and stop words would be its own.

Pictures are scanned exactly while few rows are left, by the build or by its filter, and found by
HNSW past that. Why: an approximate index under a selective filter is where recall is lost (pgvector
0.885 at 0.1 % of the rows), and a scan of few rows is quick. Of 200,000 vectors of 512 a filter of
12 % is scanned in 34 ms, one of 22 % takes HNSW 9 at a recall of 0.96, where its width grows as the
share shrinks.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, cast

from psycopg import sql

from finecap.search.checks import check_field, check_request
from finecap.search.index import (
    Derived,
    Hit,
    Manifest,
    Row,
    SearchRequest,
    StoredCaption,
    Vector,
)
from finecap.search.postgres_schema import Connection, partition
from finecap.search.postgres_types import Words, quoted
from finecap.search.query import ATTRIBUTES, FIELDS, And, Filter, Has, Not, Or, Ranking
from finecap.search.ranking import Ranked, rank

_K1, _B = 1.2, 0.75
_SELECTIVE = 6
"""A filter that leaves one row in so many, or fewer, is scanned if those are few enough."""
_WIDER = 3
"""Candidates that HNSW keeps for each row wanted among those that pass."""
_OUTWEIGHED = 0.4
"""Of the rarer words' weights: a caption of all of them scores about that much."""
_COUNT = "{1, 1, 1, 1}"  # weights with which `ts_rank_cd` of one word is how often it comes

Clause = tuple[sql.Composable, list[Any]]
"""A piece of SQL and the values of its placeholders."""


_EVERY: Clause = (sql.SQL("true"), [])


def labels_of(row: Row) -> list[str]:
    """All that filters can ask of a row, as "field=value"."""
    single = [("split", row.split), ("model_version", row.model_version)]
    listed = [(name, value) for name in ATTRIBUTES for value in row.attributes.get(name, ())]
    return [f"{name}={value}" for name, value in (*listed, *single) if value]


def condition(filter_: Filter | None) -> Clause:
    """The filter as a condition on `labels`; values travel as parameters.

    Raises:
        IndexRefused: a field no row has.
    """
    match filter_:
        case None:
            return _EVERY
        case Has(field, value):
            check_field(field)
            return sql.SQL("labels @> %s"), [[f"{field}={_plain(value)}"]]
        case Not(inner):
            clause, values = condition(inner)
            return sql.SQL("NOT ({})").format(clause), values
        case And(filters):
            return _joined(filters, " AND ", "true")
        case Or(filters):
            return _joined(filters, " OR ", "false")


def _joined(filters: Sequence[Filter], word: LiteralString, nothing: LiteralString) -> Clause:
    clauses = [condition(filter_) for filter_ in filters]
    if not clauses:
        return sql.SQL(nothing), []
    joined = sql.SQL(word).join(sql.SQL("({})").format(clause) for clause, _ in clauses)
    return joined, [value for _, values in clauses for value in values]


def _rarer(weights: Mapping[str, float]) -> list[str]:
    """The fewest of the rarest words that others hardly make up for; all where there are none.

    >>> _rarer({"lighthouse": 20.0, "red": 5.0, "boat": 2.0})
    ['lighthouse']
    >>> _rarer({"red": 5.0, "boat": 4.0})
    ['red', 'boat']
    """
    words, total, own = list(weights), sum(weights.values()), 0.0
    for number, word in enumerate(words, start=1):
        own += weights[word]
        if total - own < _OUTWEIGHED * own:
            return words[:number]
    return words


class PostgresBuild:
    """A build's rows, asked through one connection within one transaction."""

    def __init__(self, connection: Connection, number: int, manifest: Manifest) -> None:
        """Nothing is read before it is asked for."""
        self._connection = connection
        self._number = number
        self._manifest = manifest
        self._images = partition("images", number)

    def search(self, request: SearchRequest) -> list[Hit]:
        """The best hits, best first, ties by image."""
        check_request(request, self._manifest.dims)
        where = condition(request.filter)
        if request.text or request.vector is not None:
            ranked = rank(
                request,
                lambda limit: self._words(request.text, where, limit),
                lambda limit: self._pictures(request.vector, where, limit),
            )
        else:
            found = self._ask("image FROM {images} WHERE {where} ORDER BY image LIMIT %s",
                              where, [], [request.limit])  # fmt: skip
            ranked = Ranked([(image, 0.0) for (image,) in found])
        hits = self._hits([image for image, _ in ranked.order])
        return ranked.explained(hits, request.text, "bm25")

    def facets(self, filter_: Filter | None, text: str) -> dict[str, dict[str, int]]:
        """Rows with each value, of those that pass and whose caption has one of the words."""
        where, values = condition(filter_)
        if text:
            where = sql.SQL("({}) AND words @@ %s::tsquery").format(where)
            values = [*values, Words(text).any_of()]
        found = self._ask(
            "label, count(*) FROM {images}, unnest(labels) AS label WHERE {where} GROUP BY label",
            (where, values), [], [],
        )  # fmt: skip
        counts: dict[str, dict[str, int]] = {name: {} for name in FIELDS}
        for label, count in sorted(found, key=lambda item: (-item[1], item[0])):
            name, _, value = label.partition("=")
            counts[name][value] = count
        return counts

    def rows(self, images: Sequence[str]) -> list[Row]:
        """Rows with their vectors, in the order asked."""
        told = self._captions(images)
        found = self._ask(
            "image, path, caption, split, labels, vector, hidden FROM {images} WHERE {where}",
            (sql.SQL("image = ANY(%s)"), [_known(images)]), [], [],
        )  # fmt: skip
        held = {row[0]: _row(row, told[row[0]]) for row in found}
        return [held[image] for image in images if image in held]

    def _words(self, text: str, where: Clause, limit: int) -> Ranking[str]:
        """Images by BM25, ties by image.

        Words that many captions say take the time and add little. So those are ranked first that
        say one of the rarer words; if the last of them scores more than the other words' weights
        together, which a caption of them alone stays below, none is missing (Turtle, Flood, "Query
        evaluation: strategies and optimizations", 1995).
        """
        weights = self._weights(list(Words(text).places))
        rarer = _rarer(weights)
        if len(rarer) < len(weights):
            best = self._saying(rarer, weights, where, limit)
            others = sum(weight for word, weight in weights.items() if word not in rarer)
            if len(best) == limit and best[-1][1] > others:
                return best
        return self._saying(list(weights), weights, where, limit) if weights else []

    def _saying(
        self, words: Sequence[str], weights: Mapping[str, float], where: Clause, limit: int
    ) -> Ranking[str]:
        """Images whose caption has one of `words`, by BM25 of all that have a weight."""
        count = sql.SQL("%s * (1 - norm / (norm + ts_rank_cd(%s, words, %s::tsquery)))")
        score = sql.SQL(" + ").join([count] * len(weights))
        clause, values = where
        query = sql.SQL(
            "SELECT image, {score} AS score FROM (SELECT image, words, "
            "%s * (1 - %s + %s * length / mean_length) AS norm FROM {images}, finecap.builds "
            "WHERE number = %s AND words @@ %s::tsquery AND {where}) AS saying "
            "ORDER BY score DESC, image LIMIT %s"
        ).format(score=score, images=self._images, where=clause)
        counted = [v for word, weight in weights.items() for v in (weight, _COUNT, quoted(word))]
        constants = [_K1, _B, _B, self._number, " | ".join(map(quoted, words))]
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, [*counted, *constants, *values, limit]).fetchall()

    def _weights(self, words: list[str]) -> dict[str, float]:
        """(k1 + 1) times the inverse document frequency of each word that any caption says.

        The rarest first: it weighs most.
        """
        found = self._connection.execute(
            "SELECT word, captions FROM finecap.words WHERE build = %s AND word = ANY(%s) "
            "ORDER BY captions, word",
            [self._number, words],
        ).fetchall()
        rows = self._manifest.rows
        return {
            word: (_K1 + 1) * math.log(1 + (rows - said + 0.5) / (said + 0.5))
            for word, said in found
        }

    def _pictures(self, vector: Vector | None, where: Clause, limit: int) -> Ranking[str]:
        """Images by cosine, ties by image."""
        if vector is None:
            return []
        ef_search = self._manifest.parameters.get("hnsw_ef_search")
        exact_up_to = self._manifest.parameters.get("exact_up_to")
        if not isinstance(ef_search, int) or not isinstance(exact_up_to, int):
            return self.scanned(vector, limit, where)
        rows = self._manifest.rows
        left = max(1, rows if where is _EVERY else self._estimated(where))
        if left <= exact_up_to and left * _SELECTIVE <= rows:
            return self.scanned(vector, limit, where)
        width = max(ef_search, _WIDER * limit * rows // left)  # so many of which enough pass
        found = self.nearest(vector, limit, width, where)
        return found if len(found) == limit else self.scanned(vector, limit, where)

    def scanned(self, vector: Vector, limit: int, where: Clause = _EVERY) -> Ranking[str]:
        """Images by cosine, every row that passes looked at, ties by image."""
        return self._ask(
            "image, -(vector <#> %s) AS score FROM "
            "(SELECT image, vector FROM {images} WHERE {where} OFFSET 0) AS passing "
            "ORDER BY score DESC, image LIMIT %s",
            where, [vector], [limit],
        )  # fmt: skip

    def nearest(
        self, vector: Vector, limit: int, ef_search: int, where: Clause = _EVERY
    ) -> Ranking[str]:
        """Images by the approximate index, which keeps so many candidates; ties by image."""
        wide = sql.Literal(min(max(ef_search, 2 * limit), 1000))
        self._connection.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(wide))
        self._connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        typed = sql.SQL("vector::halfvec({})").format(self._manifest.dims)
        clause, values = where
        query = sql.SQL(
            "SELECT image, score FROM (SELECT image, -({typed} <#> %s) AS score FROM {images} "
            "WHERE {where} ORDER BY {typed} <#> %s LIMIT %s) AS near ORDER BY score DESC, image"
        ).format(typed=typed, images=self._images, where=clause)
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, [vector, *values, vector, limit]).fetchall()

    def _estimated(self, where: Clause) -> int:
        """How many rows the planner thinks that pass: counting them took longer than the search."""
        clause, values = where
        query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} WHERE {}")
        told = self._connection.execute(query.format(self._images, clause), values).fetchone()
        return int(cast("Any", told)[0][0]["Plan"]["Plan Rows"])

    def _hits(self, images: Sequence[str]) -> dict[str, Hit]:
        """Captions and attributes of these images; scores are not known here."""
        found = self._ask(
            "image, path, caption, labels FROM {images} WHERE {where}",
            (sql.SQL("image = ANY(%s)"), [list(images)]), [], [],
        )  # fmt: skip
        return {
            image: Hit(image, path, caption, 0.0, attributes=_attributes(labels))
            for image, path, caption, labels in found
        }

    def examples(self, count: int) -> list[Vector]:
        """Vectors of some images, always the same."""
        query = sql.SQL("SELECT vector FROM {} ORDER BY hashtext(image), image LIMIT %s")
        with self._connection.cursor(binary=True) as cursor:
            found = cursor.execute(query.format(self._images), [count]).fetchall()
        return [vector for (vector,) in found]

    def _captions(self, images: Sequence[str]) -> dict[str, list[StoredCaption]]:
        """All captions of these images, the one that is searched first."""
        known, derived = _known(images), self._derived(images)
        query = sql.SQL(
            "SELECT image, position, caption, source, model_version, variant, is_current, "
            "trained, vector FROM {} WHERE image = ANY(%s) ORDER BY image, position"
        ).format(partition("captions", self._number))
        told: dict[str, list[StoredCaption]] = {}
        with self._connection.cursor(binary=True) as cursor:
            for found in cursor.execute(query, [known]):
                image, position, caption, source, version, variant, is_current, trained, v = found
                made = tuple(derived.get((image, position), ()))
                stored = StoredCaption(
                    caption, source, version, variant, is_current, made, tuple(trained), v
                )
                told.setdefault(image, []).append(stored)
        return told

    def _derived(self, images: Sequence[str]) -> dict[tuple[str, int], list[Derived]]:
        """What was made from captions, by image and the caption's position."""
        query = sql.SQL(
            "SELECT image, position, text, is_grammatical, change FROM {} "
            "WHERE image = ANY(%s) ORDER BY image, position, number"
        ).format(partition("derived", self._number))
        made: dict[tuple[str, int], list[Derived]] = {}
        for found in self._connection.execute(query, [_known(images)]):
            image, position, text, is_grammatical, change = found
            made.setdefault((image, position), []).append(Derived(text, is_grammatical, change))
        return made

    def _ask(
        self, query: LiteralString, where: Clause, before: list[Any], after: list[Any]
    ) -> list[Any]:
        """Rows of SELECT `query`; values in the order in which it has their places."""
        clause, values = where
        composed = sql.SQL("SELECT " + query).format(images=self._images, where=clause)
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(composed, [*before, *values, *after]).fetchall()


def _row(found: Sequence[Any], captions: Sequence[StoredCaption]) -> Row:
    image, path, caption, split, labels, vector, hidden = found
    current, *others = captions
    return Row(
        image, path, caption, vector, _attributes(labels), split, current.model_version,
        current.variant, tuple(others), current.vector, hidden,
    )  # fmt: skip


def _attributes(labels: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    pairs = [label.partition("=")[::2] for label in labels]
    return {name: tuple(v for field, v in pairs if field == name) for name in ATTRIBUTES}


def _plain(text: str) -> str:
    """Without NUL, which PostgreSQL has in no text: what holds one matches nothing anyway."""
    return text.replace("\0", "\ufffd")


def _known(images: Sequence[str]) -> list[str]:
    return [_plain(image) for image in images]
