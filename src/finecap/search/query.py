"""The query language and the fusion of rankings: pure, and the same on every engine.

A query is free text plus conditions on attributes, `red boat size:large -background:night`; a comma
means or, `colour:red,blue`; quotes hold words together, `relation:"left of"`. Conditions become a
small filter tree, and engines translate the tree: what a person types never reaches a database as a
language. What the attributes are is `attributes.py`'s business; embedding text is `searcher.py`'s.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

from nltk.stem.snowball import EnglishStemmer  # pyright: ignore[reportMissingTypeStubs]

MAX_CHARACTERS = 2_000
"""Longer queries are refused: no caption is longer, and each word costs a posting list."""

ATTRIBUTES = ("colour", "background", "object", "size", "relation")
"""Fields with a list of values per image."""

FIELDS = (*ATTRIBUTES, "split", "model_version")

_SPELLINGS = {"color": "colour", "model": "model_version"}

# Left out of BM25: words nearly every caption has. Words of place (above, under, behind, left)
# stay, because captions are told apart by them; that is why no engine's own list is used.
STOP_WORDS = (
    *("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "into", "is", "it", "its"),
    *("of", "on", "or", "that", "the", "there", "this", "to", "with"),
)

_TOKEN = re.compile(r'-?\w+:"[^"]*"?|\S+')
_CONDITION = re.compile(r"(-?)([^\W\d]\w*):(?!/)(.*)", re.DOTALL)
WORD = re.compile(r"[^\W_]+")
"""What counts as a word of a query or a caption, here and wherever words are marked."""


_REMEMBERED = 1 << 16
"""Words whose stems are kept at hand: what a gallery's captions use, and room for what is asked."""


class QueryError(ValueError):
    """A query nobody can answer; the message says what to type instead."""


@dataclass(frozen=True, slots=True)
class Has:
    """The image has this value in this field."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Not:
    """The image does not pass the filter."""

    filter: "Filter"


@dataclass(frozen=True, slots=True)
class And:
    """The image passes every one."""

    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """The image passes at least one."""

    filters: "tuple[Filter, ...]"


Filter = Has | Not | And | Or


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: free text (may be empty) and the filter its conditions make."""

    text: str
    filter: Filter | None


def _as_written(_field: str, value: str) -> str:
    return value


def parse(query: str, canonical: Callable[[str, str], str] = _as_written) -> Query:
    """The query's free text and filter.

    Args:
        query: what a person typed.
        canonical: (field, value) to the value stored, e.g. ("size", "big") to "large".

    Raises:
        QueryError: empty, too long, not text, an unknown field, or a condition without a value.

    >>> parse("boat color:red")
    Query(text='boat', filter=Has(field='colour', value='red'))
    """
    if len(query) > MAX_CHARACTERS:
        raise QueryError(f"query has {len(query)} characters, at most {MAX_CHARACTERS} are read")
    words: list[str] = []
    filters: list[Filter] = []
    for token in _TOKEN.findall(_printable(query)):
        condition = _CONDITION.fullmatch(token)
        if condition and (condition[3] or _field(condition[2]) in FIELDS):
            filters.append(_condition(*condition.groups(), canonical=canonical))
        elif re.match(r"-[^\W\d_]", token):
            raise QueryError(f"{token}: only a field can be excluded, e.g. -background:night")
        else:
            words.append(token)
    if not words and not filters:
        raise QueryError("the query is empty: type some words, or a condition such as colour:red")
    return Query(" ".join(words), conjunction(filters))


def conjunction(filters: Sequence[Filter]) -> Filter | None:
    """One filter that is all of them; None for none."""
    return None if not filters else filters[0] if len(filters) == 1 else And(tuple(filters))


def _printable(query: str) -> str:
    """The query in composed form, control characters as spaces; lone surrogates are refused."""
    if any("\ud800" <= character <= "\udfff" for character in query):
        raise QueryError("the query is not valid Unicode text")
    composed = unicodedata.normalize("NFC", query)
    return "".join(c if unicodedata.category(c) != "Cc" else " " for c in composed)


def _field(typed: str) -> str:
    return _SPELLINGS.get(typed.lower(), typed.lower())


def _condition(
    minus: str, field: str, value: str, *, canonical: Callable[[str, str], str]
) -> Filter:
    """The filter of one `field:value,value`."""
    name = _field(field)
    if name not in FIELDS:
        raise QueryError(f"unknown field {field!r}, expected one of {', '.join(FIELDS)}")
    parts = [" ".join(part.split()) for part in value.strip('"').split(",")]
    # Names of splits and model versions are compared as they are; attribute values are lower case.
    values = [canonical(name, p.lower()) if name in ATTRIBUTES else p for p in parts if p]
    if not values:
        raise QueryError(f"{field}: needs a value, e.g. {field}:{_EXAMPLES.get(name, 'test')}")
    has = tuple(Has(name, value) for value in values)
    either = has[0] if len(has) == 1 else Or(has)
    return Not(either) if minus else either


_EXAMPLES = {
    "colour": "red",
    "background": "night",
    "object": "boat",
    "size": "large",
    "relation": '"left of"',
    "model_version": "3",
}


def passes(filter_: Filter, values: Mapping[str, Iterable[str]]) -> bool:
    """Whether an image with these values passes: what every engine's filter must mean."""
    match filter_:
        case Has(field, value):
            return value in values.get(field, ())
        case Not(inner):
            return not passes(inner, values)
        case And(filters):
            return all(passes(f, values) for f in filters)
        case Or(filters):
            return any(passes(f, values) for f in filters)


@cache
def _stemmer() -> EnglishStemmer:
    return EnglishStemmer()


@lru_cache(maxsize=_REMEMBERED)
def stem(word: str) -> str:
    """The word's root in letters and digits alone, accents and case dropped.

    Snowball's English stemmer: Porter, "Snowball: a language for stemming algorithms", 2001.
    """
    plain = unicodedata.normalize("NFKD", word.lower())
    folded = "".join(c for c in plain if c.isalnum())
    return cast("Any", _stemmer()).stem(folded)


@lru_cache(maxsize=_REMEMBERED)
def _counted(word: str) -> str:
    """The word's stem; "" for one that is not ranked by."""
    return "" if word.lower() in STOP_WORDS else stem(word)


def analysed(text: str) -> list[str]:
    """The stems of the text's words, in order, stop words left out: what is ranked by.

    >>> analysed("Two boats on the sea!")
    ['two', 'boat', 'sea']
    """
    return [counted for word in WORD.findall(text) if (counted := _counted(word))]


def matched_words(query: str, caption: str) -> tuple[str, ...]:
    """Words of the caption, in its order and spelling, that the query asked for."""
    return words_with(frozenset(analysed(query)), caption)


def words_with(stems: frozenset[str], caption: str) -> tuple[str, ...]:
    """Words of the caption, in its order and spelling, that have one of these stems."""
    found = (word for word in WORD.findall(caption) if stem(word) in stems)
    return tuple(dict.fromkeys(found))


Name = TypeVar("Name", str, int)
"""What an engine calls an image in a ranking: its own name, or the number of its row."""

Ranking = Sequence[tuple[Name, float]]
"""Images with their scores, best first."""


def ranks(ranking: Ranking[Name]) -> dict[Name, int]:
    """Rank of each image from 1; images of equal score share the best rank among them.

    Shared ranks matter in fusion: captioners say the same of many images, and ranking those by
    name would let an accident of naming outweigh the other ranking.
    """
    placed: dict[Name, int] = {}
    rank, previous = 0, None
    for position, (image, score) in enumerate(ranking, start=1):
        rank = rank if score == previous else position
        placed[image], previous = rank, score
    return placed


def reciprocal_rank(rankings: Sequence[Ranking[Name]], k: int = 60) -> list[tuple[Name, float]]:
    """Images by the sum over rankings of 1 / (k + rank), ties by image.

    Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion", SIGIR 2009, eq. 1, k = 60 as there.
    """
    fused: dict[Name, float] = {}
    for ranking in rankings:
        for image, rank in ranks(ranking).items():
            fused[image] = fused.get(image, 0.0) + 1 / (k + rank)
    return by_score(fused)


def weighted(
    words: Ranking[Name], pictures: Ranking[Name], picture_weight: float
) -> list[tuple[Name, float]]:
    """Images by (1 - w) * words + w * pictures, ties by image.

    Scores are scaled to [0, 1] over their ranking; an image that it does not hold has 0 there.

    Raises:
        QueryError: `picture_weight` is not in [0, 1].
    """
    if not 0 <= picture_weight <= 1:
        raise QueryError(f"picture_weight is {picture_weight}, expected 0 (words) to 1 (picture)")
    fused: dict[Name, float] = {}
    for ranking, weight in ((words, 1 - picture_weight), (pictures, picture_weight)):
        for image, score in _scaled(ranking).items():
            fused[image] = fused.get(image, 0.0) + weight * score
    return by_score(fused)


def _scaled(ranking: Ranking[Name]) -> dict[Name, float]:
    """Scores moved to [0, 1]; all 1 where they do not differ."""
    scores = [score for _, score in ranking]
    low, span = (min(scores), max(scores) - min(scores)) if scores else (0.0, 0.0)
    return {image: (score - low) / span if span else 1.0 for image, score in ranking}


def by_score(scores: Mapping[Name, float]) -> list[tuple[Name, float]]:
    """Images, highest score first, ties by image."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
