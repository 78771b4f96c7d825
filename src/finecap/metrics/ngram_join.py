"""A corpus' n-grams, counted once, and which n-grams of a candidate its image's references have.

BLEU and CIDEr ask the same of a corpus: how often each n-gram occurs in a caption, and how often in
each reference of its image. All of it is one join of two arrays of keys (`ngram_keys.py`). What
stays out: what a shared n-gram is worth (`bleu.py`, `cider.py`), and a training loop's rewards,
whose references are known beforehand (`cider.CiderD`).
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.ngram_keys import ORDERS, NgramCounts, WordNumbers, count_ngrams

Tokens = Sequence[str]
Ints = NDArray[np.int64]


class NgramJoin(NamedTuple):
    """The n-grams of N candidates and of their images' references, R in all.

    M pairs of a candidate and an n-gram of it, P of a reference and an n-gram; J of both, where a
    candidate and a reference of its image share an n-gram. All pairs name n-grams by position among
    U distinct ones.
    """

    candidates: NgramCounts  # (M,) grouped by image
    references: NgramCounts  # (P,) grouped by reference
    image_of: Ints  # (R,) the image of each reference
    candidate_lengths: Ints  # (N,) words
    reference_lengths: Ints  # (R,)
    mine: Ints  # (J,) in M
    its: Ints  # (J,) in P


def join(references: Sequence[Sequence[Tokens]], candidates: Sequence[Tokens]) -> NgramJoin:
    """Counts and joins the n-grams of orders 1..4.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.

    Raises:
        ValueError: the two differ in length, or an image has no reference.
    """
    n = len(candidates)
    if len(references) != n:
        raise ValueError(
            "n-grams: expected one set of references per candidate; came "
            f"{n} candidates and {len(references)} sets of references"
        )
    for index, own in enumerate(references):
        if not own:
            raise ValueError(f"n-grams: image {index} has no reference; expected at least one")
    captions = [*candidates, *chain.from_iterable(references)]
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    each = np.arange(len(captions))
    both = count_ngrams(WordNumbers()(captions), each.repeat(lengths), each)
    image_of = np.arange(n).repeat([len(own) for own in references])
    first = int(np.searchsorted(both.groups, n))
    ours, theirs = _part(both, slice(first)), _part(both, slice(first, None), n)
    mine, its = _shared(ours, theirs, image_of)
    return NgramJoin(ours, theirs, image_of, lengths[:n], lengths[n:], mine, its)


def totals(ngrams: NgramCounts, weights: NDArray[np.float64], captions: int) -> NDArray[np.float64]:
    """Sums (captions, 4) of weights (M,) by caption and order."""
    cells = ngrams.groups * ORDERS + ngrams.orders[ngrams.which]
    sums = np.bincount(cells, weights, minlength=captions * ORDERS).astype(np.float64)
    return sums.reshape(captions, ORDERS)


def _part(both: NgramCounts, rows: slice, offset: int = 0) -> NgramCounts:
    return both._replace(
        groups=both.groups[rows] - offset, which=both.which[rows], counts=both.counts[rows]
    )


def _shared(ours: NgramCounts, theirs: NgramCounts, image_of: Ints) -> tuple[Ints, Ints]:
    """Positions in M and P of pairs of one image and one n-gram."""
    distinct = len(ours.keys)
    wanted = np.append(ours.groups * distinct + ours.which, -1)  # (M + 1,) ascending but the last
    pairs = image_of[theirs.groups] * distinct + theirs.which  # (P,)
    at = np.searchsorted(wanted[:-1], pairs)
    its = np.flatnonzero(wanted[at] == pairs)
    return at[its], its
