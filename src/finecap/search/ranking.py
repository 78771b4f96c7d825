"""Two rankings made one, alike on every engine: candidates, ties, fusion, and why a hit is there.

An engine says which rows are its best by words and by picture; everything after that is here. Names
are whatever sorts as images do: images themselves, or numbers of rows in image order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic

from finecap.search.index import Hit, SearchRequest, WordsBy
from finecap.search.query import (
    Name,
    Ranking,
    analysed,
    ranks,
    reciprocal_rank,
    weighted,
    words_with,
)

_DEPTH = 100
"""Candidates of each ranking that fusion sees, at least ten per hit asked for."""
_SPARE = 10
"""Asked for beyond what is wanted: most ties end within so many, and asking again costs more."""
_TIE_WINDOW = 4096
"""Ties at a ranking's end are completed up to so many rows; past it the engine's cut stands."""

Best = Callable[[int], Ranking[Name]]
"""An engine's so many best, best first, ties by name."""


@dataclass(frozen=True, slots=True)
class Ranked(Generic[Name]):
    """The answer's order, and the rankings that it was made of."""

    order: Ranking[Name]
    words: Ranking[Name] = ()
    pictures: Ranking[Name] = ()

    def explained(self, hits: Mapping[Name, Hit], text: str, words_by: WordsBy) -> list[Hit]:
        """The hits of `order`, each with its score, its place in both rankings, its words."""
        by_words, by_picture = _places(self.words), _places(self.pictures)
        asked = frozenset(analysed(text))
        return [
            replace(
                hits[name],
                score=score,
                bm25_rank=by_words.get(name, _NOWHERE)[0],
                bm25_score=by_words.get(name, _NOWHERE)[1],
                words_by=words_by if name in by_words else None,
                vector_rank=by_picture.get(name, _NOWHERE)[0],
                vector_score=by_picture.get(name, _NOWHERE)[1],
                matched_words=words_with(asked, hits[name].caption),
            )
            for name, score in self.order
        ]


_NOWHERE = (None, None)


def rank(request: SearchRequest, words: Best[Name], pictures: Best[Name]) -> Ranked[Name]:
    """By words, by picture, or by both fused: whichever the request asks for.

    Args:
        request: what is asked.
        words: cuts rows of equal score by name; it is not asked for more than is wanted.
        pictures: may cut rows of equal score anywhere.
    """
    fused = bool(request.text) and request.vector is not None
    deep = request.depth or max(_DEPTH, 10 * request.limit)
    depth = deep if fused else request.limit
    by_words: Ranking[Name] = []
    if request.text:  # alone, the engine's cut is enough: it is made in the order of names
        by_words = with_ties(words, depth) if fused else words(depth)
    by_picture = with_ties(pictures, depth) if request.vector is not None else []
    if not fused:
        order = by_words or by_picture
    elif request.picture_weight is None:
        order = reciprocal_rank([by_words, by_picture])
    else:
        order = weighted(by_words, by_picture, request.picture_weight)
    return Ranked(order[: request.limit], by_words, by_picture)


def with_ties(best: Best[Name], depth: int) -> Ranking[Name]:
    """The `depth` best where there are so many, and all that tie with the last of them.

    An engine asked for ten of fifty equal rows returns whichever it met first; asking on until the
    ties are complete makes the cut ours, by name.
    """
    limit = depth + _SPARE
    while True:
        found = best(limit)
        last = found[depth - 1][1] if len(found) >= depth else float("-inf")
        complete = len(found) < limit or found[-1][1] < last
        if complete or limit >= _TIE_WINDOW:
            return [pair for pair in found if pair[1] >= last]
        limit = min(4 * limit, max(_TIE_WINDOW, depth + _SPARE))


def _places(ranking: Ranking[Name]) -> dict[Name, tuple[int, float]]:
    """(rank, score) by name."""
    placed = ranks(ranking)
    return {name: (placed[name], score) for name, score in ranking}
