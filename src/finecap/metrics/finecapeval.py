"""FineCapEval: how much of what people describe of an image do captions name, and how rightly.

Two scores of the same annotations (`data.finecapeval`), never to be mixed up.

**As published** (`published`): the computation of Cho et al. 2022, `tools/eval_finecapeval.py` of
their repository, by which their table was made. Words of people's phrases are stemmed, the caption
is not, and a stem counts when the caption holds it as a string: "man" is found in "woman", "citi",
the stem of "city", never. Kept for comparison with published numbers.

**Whole words** (`score`): captions and phrases become tokens alike (PTB) and stems alike (Porter),
and a stem is found when it is one of the caption's. Words that name nothing do not count on either
side: articles, conjunctions, auxiliaries, pronouns and clitics, and, for `background` and `object`,
prepositions. Over all images together (micro-average), with, for image i and category c,

* `recall` = words of i's phrases of c that the caption says / words of those phrases. A word counts
  once per phrase and person: what five people name weighs five;
* `precision` = the caption's distinct words that i's people say in any category / those that
  anybody says of any image in category c. So "table", an object of other images, is a wrong claim
  of an object here unless this image's people have it, be it as background; and words that are in
  nobody's phrases of c are no claim about c;
* of all categories together: recall sums over them, precision is of all words of the caption that
  count, so that a word which nobody uses is wrong; `f1` is the harmonic mean of the two.

An image without phrases judges no word. What is not here: reading the file, intervals.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from nltk.stem.porter import PorterStemmer  # pyright: ignore[reportMissingTypeStubs]
from nltk.tokenize.destructive import (  # pyright: ignore[reportMissingTypeStubs]
    NLTKWordTokenizer,
)
from nltk.tokenize.punkt import (  # pyright: ignore[reportMissingTypeStubs]
    PunktSentenceTokenizer,
)
from numpy.typing import NDArray

from finecap.data.finecapeval import (
    CATEGORIES,
    SEPARATOR,
    Annotation,
    Annotations,
    FineCapEvalError,
)
from finecap.metrics.fluency import ARTICLES, AUXILIARIES, CONJUNCTIONS, PREPOSITIONS
from finecap.metrics.ptb import tokenise

PRONOUNS = frozenset(
    [
        "i", "you", "he", "she", "it", "we", "they", "me", "him", "her", "us", "them", "my", "your",
        "his", "its", "our", "their", "this", "that", "these", "those", "who", "which", "what",
        "there", "'s", "'re", "'ve", "'ll", "'d", "'m",
    ]
)  # fmt: skip
SILENT = ARTICLES | CONJUNCTIONS | AUXILIARIES | PRONOUNS
"""Words that count in no category."""

_PLACELESS = ("background", "object")  # where a preposition says nothing

_STEMMER = PorterStemmer()
_WORDS = NLTKWordTokenizer()
# Without trained abbreviations, which would have to be downloaded: "st. louis" then is cut after
# "st.", and its words and stems are the same.
_SENTENCES = PunktSentenceTokenizer()
_SIGNS = re.compile(r"[^a-zA-Z0-9]")


@dataclass(frozen=True)
class PhraseCounts:
    """Per-image counts of `{category}_recall`, `{category}_precision`, `recall`, `precision`."""

    images: tuple[str, ...]
    numerators: Mapping[str, NDArray[np.int64]]  # (N,)
    denominators: Mapping[str, NDArray[np.int64]]  # (N,)

    def value(self, name: str) -> float | None:
        """The ratio of the sums; None where nothing could be said or nothing was."""
        total = int(self.denominators[name].sum())
        return int(self.numerators[name].sum()) / total if total else None

    def reason(self, name: str) -> str:
        """Why the metric has no value."""
        category = name.rpartition("_")[0]
        phrases = f"{category} phrases" if category else "phrases"
        if name.endswith("recall"):
            return f"no image has {phrases}"
        return f"no caption has a word of the {phrases}" if category else "no caption has a word"


def published(annotations: Annotations, captions: Mapping[str, str]) -> dict[str, NDArray]:
    """Each category's score of each image as the authors compute it; their number is the mean.

    Of an image: the mean over its phrases, all people's, of the share of a phrase's words that the
    caption holds. Rows with an empty cell are skipped, images without another row do not count.
    The authors print it times 100.

    Args:
        annotations: by image.
        captions: by image, at least those of `annotations`.

    Returns:
        By category: (N,) in [0, 1], in the annotations' order; NaN where no row is complete.

    Raises:
        FineCapEvalError: an annotated image has no caption.
    """
    check(annotations, captions)
    return {
        category: np.array(
            [_published_of(own, category, captions[image]) for image, own in annotations.items()],
            dtype=np.float64,
        )
        for category in CATEGORIES
    }


def score(annotations: Annotations, captions: Mapping[str, str]) -> PhraseCounts:
    """Whole words, micro-averaged: the module's docstring defines each metric.

    Args:
        annotations: by image.
        captions: by image, at least those of `annotations`.

    Raises:
        FineCapEvalError: an annotated image has no caption.
    """
    check(annotations, captions)
    phrases = {
        category: [_phrases(own, category) for own in annotations.values()]
        for category in CATEGORIES
    }
    lexicons = {c: frozenset().union(*(p for own in phrases[c] for p in own)) for c in CATEGORIES}
    rows = [
        _counts(captions[image], {c: phrases[c][at] for c in CATEGORIES}, lexicons)
        for at, image in enumerate(annotations)
    ]
    names = [f"{c}_{m}" for c in CATEGORIES for m in ("recall", "precision")]
    table = {
        name: np.array([row[name] for row in rows], dtype=np.int64).reshape(-1, 2)
        for name in [*names, "recall", "precision"]
    }
    return PhraseCounts(
        tuple(annotations),
        {name: pairs[:, 0] for name, pairs in table.items()},
        {name: pairs[:, 1] for name, pairs in table.items()},
    )


def words_that_count(text: str, category: str | None = None) -> list[str]:
    """Stems of the text's tokens that count: in a category, or in any.

    >>> words_that_count("two horses standing in the city's snow", "background")
    ['two', 'hors', 'stand', 'citi', 'snow']
    """
    silent = SILENT | PREPOSITIONS if category in _PLACELESS else SILENT
    return [_stem(token) for token in tokenise(text) if token not in silent]


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return _STEMMER.stem(word)


def _phrases(rows: Iterable[Annotation], category: str) -> list[frozenset[str]]:
    """The words of each phrase of a category, all people's; phrases without any left out."""
    cells = [row.phrases[category] for row in rows]
    found = [
        frozenset(words_that_count(phrase, category))
        for cell in cells
        if cell is not None
        for phrase in cell.split(SEPARATOR)
    ]
    return [words for words in found if words]


def _counts(
    caption: str,
    phrases: Mapping[str, Sequence[frozenset[str]]],
    lexicons: Mapping[str, frozenset[str]],
) -> dict[str, tuple[int, int]]:
    """Numerator and denominator of each metric of one image."""
    said = frozenset(words_that_count(caption))
    so = frozenset().union(*(words for own in phrases.values() for words in own))
    claims = said if so else frozenset[str]()
    counts = {"precision": (len(claims & so), len(claims))}
    for category, own in phrases.items():
        about = claims & lexicons[category]
        counts[f"{category}_precision"] = (len(about & so), len(about))
        found = sum(len(words & said) for words in own)
        counts[f"{category}_recall"] = (found, sum(map(len, own)))
    recalls = [counts[f"{category}_recall"] for category in phrases]
    counts["recall"] = (sum(found for found, _ in recalls), sum(total for _, total in recalls))
    return counts


def _published_of(rows: Iterable[Annotation], category: str, caption: str) -> float:
    """The score of one image: 0 where complete rows have no phrase, as the authors have it."""
    complete = [row for row in rows if row.is_complete]
    if not complete:
        return float("nan")
    shares = [
        _share(_published_words(phrase), caption)
        for row in complete
        for phrase in (row.phrases[category] or "").lower().split(SEPARATOR)
        if len(phrase) > 1  # before it is stripped of blanks
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _share(words: Sequence[str], caption: str) -> float:
    """The share of words that are part of the caption's text; 0 of no words."""
    return sum(word in caption for word in words) / len(words) if words else 0.0


@lru_cache(maxsize=65_536)
def _published_words(phrase: str) -> tuple[str, ...]:
    """Treebank tokens, stemmed, then stripped of all signs; what was a sign alone is gone."""
    tokens = [
        token for sentence in _SENTENCES.tokenize(phrase) for token in _WORDS.tokenize(sentence)
    ]
    stripped = [_SIGNS.sub("", _stem(token)) for token in tokens]
    return tuple(word for word in stripped if word)


def check(annotations: Annotations, captions: Mapping[str, str]) -> None:
    """Refuse captions that leave an annotated image out.

    Raises:
        FineCapEvalError: names the first such image.
    """
    missing = [image for image in annotations if image not in captions]
    if missing:
        raise FineCapEvalError(
            f"{len(missing)} of {len(annotations)} annotated images have no caption, first "
            f"{missing[0]}; FineCapEval is scored on all its images: caption them too, or cut the "
            "CSV to the images meant"
        )
