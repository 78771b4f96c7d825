"""CIDEr-D: consensus of a caption with an image's references, weighted by how rare n-grams are.

One formula, two sources of document frequencies: `cider` takes them from the scored references, as
coco-caption does under the name CIDEr; `CiderD` freezes those of the training references, for a
reward. Beside them `cider_plain`, the CIDEr that the paper begins with. Captions are
scored many at a time, their n-grams as arrays of keys (`ngram_keys.py`). An image's references are
weighed once: scoring is a join of the candidates' n-grams with those of their references. What
stays out: tokenising (`ptb.py`); the choice of reward (`rewards`).

Why arrays: 320 captions of a training step take 4.6 ms of processor time, a 37th of what
pycocoevalcap takes (`make bench NAMES=cider`); dictionaries of n-grams took 10 at their leanest,
most of it in looking up how rare an n-gram is.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.ngram_join import NgramJoin, join, totals
from finecap.metrics.ngram_keys import ORDERS, NgramCounts, WordNumbers, count_ngrams
from finecap.metrics.ptb import tokenise

_SIGMA = 6.0  # of the length penalty, words
_SCALE = 10.0
_PART = 4096  # training images whose n-grams are counted at once: some 60 MB
_EOS = "<end of caption>"  # no token has a space
_LAST_KEY = np.uint64(2**64 - 1)

Tokens = Sequence[str]
Keys = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Weighed(NamedTuple):
    """C captions as tf-idf vectors: M pairs of a caption and an n-gram, ordered as in `ngrams`."""

    ngrams: NgramCounts
    rarities: Floats  # (M,) log(images / images that have the n-gram)
    norms: Floats  # (M,) of the caption's vector of that order; 1 where that is 0
    lengths: Ints  # (C,)


class _Postings(NamedTuple):
    """The n-grams of an image's references: M pairs of an n-gram and a reference."""

    keys: Keys  # (M,) ascending
    counts: Ints  # (M,)
    shares: Floats  # (M,) what one occurrence in a candidate of norm 1 adds
    lengths: Ints  # (M,) of the reference


class CiderD:
    """CIDEr-D with document frequencies frozen from training references: an RL reward.

    References are weighed once per image and kept, so a training loop pays for the candidates
    alone.

    Source: Vedantam et al. 2015, section 8 (CIDEr-D); pycocoevalcap 1.2 `cider_scorer.py`.
    """

    def __init__(
        self,
        references_of_train: Sequence[Sequence[str]],
        *,
        tokenised: bool = False,
        count_eos: bool = False,
    ) -> None:
        """Counts in how many images each n-gram occurs.

        Args:
            references_of_train: N images, each with its references, raw unless `tokenised`.
            tokenised: captions everywhere are lower-case words joined by spaces already.
            count_eos: the end of a caption counts as a word, in candidates, references and
                frequencies, as in Rennie et al. 2017's code (self-critical.pytorch): a caption
                that breaks off ("a dog on a") then misses n-grams. That code gives no end to a
                sample cut at the length limit; here every caption has one.

        Raises:
            ValueError: no image, or an image without reference.
        """
        if not references_of_train:
            raise ValueError("CIDEr-D needs the references of at least one training image; came 0")
        for index, references in enumerate(references_of_train):
            _refuse_empty(references, f"training image {index}")
        self._tokenised, self._end = tokenised, [_EOS] if count_eos else []
        self._numbers = WordNumbers()
        self._unseen = math.log(len(references_of_train))
        keys, images = self._frequencies(references_of_train)
        # One more key, so that a search for any other ends at a key that is there.
        self._keys = np.append(keys, _LAST_KEY)  # (U + 1,)
        self._rarities = np.append(self._unseen - np.log(images), self._unseen)  # (U + 1,)
        self._cache: dict[tuple[str, ...], _Postings] = {}

    def scores(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
        """CIDEr-D of each candidate against its image's references.

        Args:
            candidates: N captions.
            references: N images' references; the same image may come many times.

        Returns:
            (N,) in [0, 10].

        Raises:
            ValueError: the two differ in length, or an image has no reference.
        """
        if len(candidates) != len(references):
            raise ValueError(
                f"CIDEr-D: expected one set of references per candidate; came {len(candidates)} "
                f"candidates and {len(references)} sets of references"
            )
        if not candidates:
            return np.empty(0)
        # Distinct images, and distinct candidates of an image, by number: each is scored once.
        images: dict[tuple[str, ...], int] = {}
        distinct: dict[tuple[int, str], int] = {}
        back = [
            distinct.setdefault((images.setdefault(tuple(own), len(images)), said), len(distinct))
            for said, own in zip(candidates, references, strict=True)
        ]
        self._remember([own for own in images if own not in self._cache])
        weighed = self._weigh(said for _, said in distinct)
        image_of = np.array([image for image, _ in distinct], dtype=np.int64)
        return _match(weighed, image_of, [self._cache[own] for own in images])[back]

    def _frequencies(self, images: Sequence[Sequence[str]]) -> tuple[Keys, Ints]:
        """The distinct n-grams' keys (U,), ascending, and in how many images each occurs (U,)."""
        parts: list[tuple[Keys, Ints]] = []
        for start in range(0, len(images), _PART):
            part = images[start : start + _PART]
            ngrams, _ = self._count(chain.from_iterable(part), _owners(part))
            parts.append((ngrams.keys, np.bincount(ngrams.which, minlength=len(ngrams.keys))))
        keys, which = np.unique(np.concatenate([k for k, _ in parts]), return_inverse=True)
        images_with = np.bincount(which, np.concatenate([count for _, count in parts]))
        return keys, images_with.astype(np.int64)

    def _count(
        self, captions: Iterable[str], groups: Ints | None = None
    ) -> tuple[NgramCounts, Ints]:
        """N-grams by group of captions (None: each its own), and the captions' lengths (C,)."""
        split = str.split if self._tokenised else tokenise
        tokens = [split(caption) + self._end for caption in captions]
        lengths = np.array([len(caption) for caption in tokens], dtype=np.int64)
        each = np.arange(len(tokens))
        words = self._numbers(tokens)
        return count_ngrams(
            words, each.repeat(lengths), each if groups is None else groups
        ), lengths

    def _weigh(self, captions: Iterable[str]) -> _Weighed:
        """Term frequency times log(images / images that have the n-gram)."""
        ngrams, lengths = self._count(captions)
        at = np.searchsorted(self._keys, ngrams.keys)  # (U,)
        rarities = np.where(self._keys[at] == ngrams.keys, self._rarities[at], self._unseen)
        rarities = rarities[ngrams.which]  # (U,) -> (M,)
        vector = ngrams.groups * ORDERS + ngrams.orders[ngrams.which]  # (M,) caption and order
        norms = np.sqrt(np.bincount(vector, (ngrams.counts * rarities) ** 2))[vector]
        return _Weighed(ngrams, rarities, np.where(norms > 0, norms, 1.0), lengths)

    def _remember(self, images: Sequence[tuple[str, ...]]) -> None:
        """Weigh and keep the references of images that are seen first."""
        if not images:
            return
        for references in images:
            _refuse_empty(references, "an image to score")
        ngrams, rarities, norms, lengths = self._weigh(chain.from_iterable(images))
        owners = _owners(images)
        image = owners[ngrams.groups]  # (M,)
        # Rarity is a factor of both vectors; a mean over references, so their number divides.
        shares = ngrams.counts * rarities**2 / norms / np.bincount(owners)[image]
        columns = (ngrams.keys[ngrams.which], ngrams.counts, shares, lengths[ngrams.groups])
        order = np.lexsort((ngrams.which, image))
        cuts = np.searchsorted(image[order], np.arange(1, len(images)))
        by_image = zip(*(np.split(column[order], cuts) for column in columns), strict=True)
        self._cache |= zip(images, map(_Postings._make, by_image), strict=True)


def _match(candidates: _Weighed, image_of: Ints, images: Sequence[_Postings]) -> Floats:
    """Mean over references and orders of clipped cosine times length penalty, times 10: (C,).

    Args:
        candidates: C captions.
        image_of: (C,) position in `images`.
        images: their references.
    """
    ngrams = candidates.ngrams
    keys, counts, shares, lengths = map(np.concatenate, zip(*images, strict=True))  # (P,) each
    # An n-gram of an image gets one number, on both sides. Those of the references come ascending,
    # because images do, and keys within an image.
    at = np.searchsorted(ngrams.keys, keys)
    shared = np.flatnonzero(np.append(ngrams.keys, _LAST_KEY)[at] == keys)
    image = np.arange(len(images)).repeat([len(postings.keys) for postings in images])
    theirs = image[shared] * len(ngrams.keys) + at[shared]
    ours = image_of[ngrams.groups] * len(ngrams.keys) + ngrams.which  # (M,)
    first, end = (np.searchsorted(theirs, ours, side) for side in ("left", "right"))
    # One row for each reference that has an n-gram of a candidate: `mine` in M, `its` in P.
    found = end - first
    mine = np.arange(len(ours)).repeat(found)
    its = shared[np.arange(len(mine)) + (first - found.cumsum() + found).repeat(found)]
    caption = ngrams.groups[mine]
    gap = _gaps(candidates.lengths[caption], lengths[its])
    clipped = np.minimum(ngrams.counts[mine], counts[its]) * shares[its] / candidates.norms[mine]
    penalised = clipped * np.exp(gap**2 / (-2 * _SIGMA**2))
    totals = np.bincount(caption, penalised, minlength=len(image_of))
    return np.asarray(_SCALE / ORDERS * totals, dtype=np.float64)


def cider(references: Sequence[Sequence[Tokens]], candidates: Sequence[Tokens]) -> Floats:
    """coco-caption's `Cider` per image, which is CIDEr-D: frequencies from these references.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.

    Returns:
        (N,) in [0, 10].
    """
    return of_join(join(references, candidates)).cider


def cider_plain(references: Sequence[Sequence[Tokens]], candidates: Sequence[Tokens]) -> Floats:
    """CIDEr of the paper per image: neither clipped nor penalised for length, times 10.

    10/4 sum_n 1/R sum_j cos(g^n(c), g^n(s_j)), with g the n-gram counts of a caption, each weighed
    by log(images / images whose references have the n-gram); one that none has counts as of one
    image. Source: Vedantam et al. 2015, equations 1-3. The paper stems words first; its authors'
    published code does not, and neither does this.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.

    Returns:
        (N,) in [0, 10].
    """
    return of_join(join(references, candidates)).cider_plain


class CiderScores(NamedTuple):
    """Of N images, each (N,) in [0, 10]."""

    cider: Floats
    cider_plain: Floats


def of_join(joined: NgramJoin) -> CiderScores:
    """Both of a corpus whose n-grams have been counted and joined."""
    ours, theirs = joined.candidates, joined.references
    mine, its = joined.mine, joined.its
    rarities = _rarities(joined)  # (U,)
    norms_of_ours = _norms(ours, rarities, len(joined.candidate_lengths))  # (M,)
    norms_of_theirs = _norms(theirs, rarities, len(joined.reference_lengths))  # (P,)
    rarity = rarities[ours.which[mine]]
    one = theirs.counts[its] * rarity**2 / (norms_of_ours[mine] * norms_of_theirs[its])  # (J,)
    plain = ours.counts[mine] * one
    image = ours.groups[mine]
    lengths = joined.candidate_lengths[image], joined.reference_lengths[theirs.groups[its]]
    penalty = np.exp(_gaps(*lengths) ** 2 / (-2 * _SIGMA**2))
    clipped = np.minimum(ours.counts[mine], theirs.counts[its]) * one * penalty
    references = np.bincount(joined.image_of)  # (N,)

    def mean(cosines: Floats) -> Floats:
        summed = np.bincount(image, cosines, minlength=len(references))
        return _SCALE / ORDERS * summed / references  # over orders and references

    return CiderScores(mean(clipped), mean(plain))


def _rarities(joined: NgramJoin) -> Floats:
    """(U,) log(images / images whose references have the n-gram), as of one image where none."""
    distinct = len(joined.references.keys)
    pairs = np.sort(joined.image_of[joined.references.groups] * distinct + joined.references.which)
    is_first = np.diff(pairs, prepend=-1) > 0  # `np.unique` hashes, which takes ten times as long
    images = np.bincount(pairs[is_first] % max(1, distinct), minlength=distinct)
    return math.log(len(joined.candidate_lengths)) - np.log(np.maximum(images, 1))


def _norms(ngrams: NgramCounts, rarities: Floats, captions: int) -> Floats:
    """(M,) of the caption's vector of the n-gram's order; 1 where that is 0."""
    weights = ngrams.counts * rarities[ngrams.which]
    norms = np.sqrt(totals(ngrams, weights**2, captions))
    norms[norms == 0] = 1
    return norms[ngrams.groups, ngrams.orders[ngrams.which]]


def _gaps(candidate_lengths: Ints, reference_lengths: Ints) -> Ints:
    """How much longer the candidates are, in bigrams, which coco-caption counts as the length."""
    return np.maximum(candidate_lengths - 1, 0) - np.maximum(reference_lengths - 1, 0)


def _owners(images: Sequence[Sequence[str]]) -> Ints:
    """The position of its image for each of the images' references, one after another."""
    return np.arange(len(images)).repeat([len(references) for references in images])


def _refuse_empty(references: Sequence[str], where: str) -> None:
    if not references:
        raise ValueError(f"CIDEr-D: {where} has no reference; expected at least one")
