"""N-grams of many captions at once, as arrays of 64-bit keys, counted.

Words are numbered from 1. The key of an n-gram is a polynomial of its words' numbers, modulo 2^64:
w1 M^3 + w2 M^2 + w3 M + w4, where a shorter n-gram begins with zeros. M is one of Steele and
Vigna's (2022) multipliers for congruential generators, whose lattices have no short vectors: so no
two n-grams of 48,000 different words share a key (the test proves it). With more words two keys
agree with a chance of 2^-64.

Why keys: a dictionary of a training set's n-grams as tuples misses the processor's cache several
times per look-up, 0.4 us each; sorted keys are searched in order, 0.05 us. What stays out: what
n-grams are worth (`cider.py`).
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ORDERS = 4
_MULTIPLIER = np.uint64(0xD1342543DE82EF95)


class NgramCounts(NamedTuple):
    """How often each n-gram of orders 1..4 occurs in each of some groups of captions.

    U distinct n-grams; M pairs of a group and an n-gram of it, sorted by group, then by key.
    """

    keys: NDArray[np.uint64]  # (U,) ascending
    orders: NDArray[np.int64]  # (U,) 0 for single words, 3 for four
    groups: NDArray[np.int64]  # (M,)
    which: NDArray[np.int64]  # (M,) the n-gram, a position in `keys`
    counts: NDArray[np.int64]  # (M,) at least 1


class WordNumbers:
    """Numbers words by first appearance; it holds every word that it was ever shown."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, captions: Sequence[Sequence[str]]) -> NDArray[np.uint64]:
        """The captions' words one after another, as numbers from 1, (words in all,)."""
        words = list(chain.from_iterable(captions))
        known = self._numbers
        try:
            return np.array([known[word] for word in words], dtype=np.uint64)
        except KeyError:  # rare: a word is new once
            return np.array([known.setdefault(w, len(known) + 1) for w in words], dtype=np.uint64)


def count_ngrams(
    words: NDArray[np.uint64], captions: NDArray[np.int64], groups: NDArray[np.int64]
) -> NgramCounts:
    """Counts the n-grams of each group of captions; none reaches from one caption into the next.

    Args:
        words: (W,) numbers of all words, caption by caption.
        captions: (W,) the caption that each word belongs to.
        groups: (C,) the group that each caption belongs to.

    >>> counts = count_ngrams(np.array([1, 2, 1], np.uint64), np.array([0, 0, 0]), np.array([0]))
    >>> counts.orders[counts.which].tolist(), counts.counts.tolist()
    ([0, 0, 2, 1, 1], [2, 1, 1, 1, 1])
    """
    key, parts = words, [(words, captions)]
    for n in range(1, ORDERS):
        key = key[:-1] * _MULTIPLIER + words[n:]  # wraps, as meant
        is_within = captions[:-n] == captions[n:]
        parts.append((key[is_within], captions[:-n][is_within]))
    keys, which = np.unique(np.concatenate([key for key, _ in parts]), return_inverse=True)
    orders = np.empty(len(keys), dtype=np.int64)
    orders[which] = np.repeat(np.arange(ORDERS), [len(key) for key, _ in parts])
    group = groups[np.concatenate([caption for _, caption in parts])]
    pairs, counts = np.unique(group * len(keys) + which, return_counts=True)
    group, which = np.divmod(pairs, max(1, len(keys)))
    return NgramCounts(keys, orders, group, which, counts)
