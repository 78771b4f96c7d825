"""How a policy degenerates when only detail is rewarded: repetition, cut-off endings, length.

These read the caption alone, so they guard any reward. What stays out: whether a caption is
grammatical (the drawn world's own grammar, or a grammar head).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.ptb import tokenise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("a an the")
PREPOSITIONS = _words(
    "about across after against alongside amid among as at atop before behind beneath beside "
    "besides between beyond by despite during except for from in into like near of on onto "
    "opposite per since than through throughout to toward towards under until upon via with "
    "within without"
)
CONJUNCTIONS = _words("and but or nor because although while if unless whereas")
AUXILIARIES = _words(
    "am is are was were be been being has have had having does did will would shall should "
    "could may might must"
)

# A caption that stops after one of these was cut off ("a dog on a"). Left out are particles that
# end a sentence as adverbs ("a man outside", "looks up") and "can", the noun. Of 40,460 human
# captions of Flickr8k 0.9 % end in one of these, nearly all in "on", "behind" or "by".
BAD_ENDINGS = ARTICLES | PREPOSITIONS | CONJUNCTIONS | AUXILIARIES
"""Articles, prepositions, conjunctions, auxiliaries."""


def repeats(captions: Sequence[str]) -> NDArray[np.float64]:
    """(N,): 1.0 where a caption has a bigram twice, or the same word twice running, else 0.0."""
    return np.array([float(_repeats(tokenise(caption))) for caption in captions])


def stutters(captions: Sequence[str]) -> NDArray[np.float64]:
    """(N,): 1.0 where a caption has the same word twice running ("a a cat"), else 0.0."""
    return (stutter_shares(captions) > 0).astype(np.float64)


def repeats_ngram(captions: Sequence[str], n: int) -> NDArray[np.float64]:
    """(N,): 1.0 where a caption has n words in a row that it said before, else 0.0.

    >>> repeats_ngram(["a red cat and a red dog"], 2).tolist()
    [1.0]
    >>> repeats_ngram(["a red cat and a red dog"], 3).tolist()
    [0.0]
    """
    return (repeated_ngram_shares(captions, n) > 0).astype(np.float64)


def ends_badly(captions: Sequence[str]) -> NDArray[np.float64]:
    """(N,): 1.0 where a caption ends in an article, preposition, conjunction or auxiliary.

    An empty caption ends badly: nothing was said.
    """
    last = [(tokenise(caption) or ["a"])[-1] for caption in captions]
    return np.array([float(word in BAD_ENDINGS) for word in last])


def lengths(captions: Sequence[str]) -> NDArray[np.float64]:
    """(N,): words of each caption, punctuation not counted."""
    return np.array([float(len(tokenise(caption))) for caption in captions])


def repeated_ngram_shares(captions: Sequence[str], n: int) -> NDArray[np.float64]:
    """1 - distinct n-grams / n-grams of each caption: `rep-n` of Welleck et al. 2020, section 6.

    Returns:
        (N,) in [0, 1); 0 where a caption has fewer than n words.

    >>> repeated_ngram_shares(["a cat and a cat"], 2).tolist()  # 3 distinct of 4
    [0.25]
    """
    return np.array([_repeated_share(tokenise(caption), n) for caption in captions])


def stutter_shares(captions: Sequence[str]) -> NDArray[np.float64]:
    """Share of neighbouring words that are the same word ("a a cat": 1 of 2), of each caption.

    Returns:
        (N,) in [0, 1]; 0 where a caption has fewer than two words.
    """
    pairs = [list(pairwise(tokenise(caption))) for caption in captions]
    return np.array(
        [sum(first == second for first, second in own) / max(1, len(own)) for own in pairs],
        dtype=np.float64,
    )


def repetition_rate(captions: Sequence[str]) -> float:
    """Share of captions with a repeated bigram or the same word twice running."""
    return _mean(repeats(captions))


def bad_ending_rate(captions: Sequence[str]) -> float:
    """Share of captions that end in an article, preposition, conjunction or auxiliary."""
    return _mean(ends_badly(captions))


def mean_length(captions: Sequence[str]) -> float:
    """Words per caption."""
    return _mean(lengths(captions))


def distinct_n(captions: Sequence[str], n: int) -> float:
    """Distinct n-grams over all n-grams of the captions (Li et al. 2016), in [0, 1].

    0 where no caption has n words.
    """
    ngrams = [
        tuple(words[start : start + n])
        for words in map(tokenise, captions)
        for start in range(len(words) - n + 1)
    ]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def vocabulary(captions: Sequence[str]) -> int:
    """Distinct words over all captions."""
    return len({word for caption in captions for word in tokenise(caption)})


def _repeats(words: Sequence[str]) -> bool:
    bigrams = list(pairwise(words))
    return len(set(bigrams)) < len(bigrams) or any(first == second for first, second in bigrams)


def _repeated_share(words: Sequence[str], n: int) -> float:
    ngrams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _mean(values: NDArray[np.float64]) -> float:
    if not len(values):
        raise ValueError("fluency of no captions is undefined; expected at least one caption")
    return float(values.mean())
