"""CIDEr-D: consensus of a caption with an image's references, weighted by how rare n-grams are.

One formula, two sources of document frequencies: `cider` takes them from the scored references, as
coco-caption does; `CiderD` freezes those of the training references, for a reward. An image's
references become vectors once, so scoring a caption is a walk over its own n-grams. What stays
out: tokenising (`ptb.py`); the choice of reward (`rewards.py`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.ptb import tokenise

_ORDERS = 4
_SIGMA = 6.0  # of the length penalty, words
_SCALE = 10.0

Tokens = Sequence[str]
Ngram = tuple[str, ...]


class _Image(NamedTuple):
    """An image's references, inverted: which of them has an n-gram, and with what weight."""

    postings: list[dict[Ngram, list[tuple[int, float, float]]]]
    """By order: n-gram -> (reference, tf-idf weight, the same over that reference's norm)."""
    lengths: list[int]


class CiderD:
    """CIDEr-D with document frequencies frozen from training references: an RL reward.

    References are turned into vectors once per image and kept, so a training loop pays for the
    candidates alone.

    Source: Vedantam et al. 2015, section 8 (CIDEr-D); pycocoevalcap 1.2 `cider_scorer.py`.
    """

    def __init__(
        self, references_of_train: Sequence[Sequence[str]], *, tokenised: bool = False
    ) -> None:
        """Counts in how many images each n-gram occurs.

        Args:
            references_of_train: N images, each with its references, raw unless `tokenised`.
            tokenised: captions everywhere are lower-case words joined by spaces already.

        Raises:
            ValueError: no image, or an image without reference.
        """
        if not references_of_train:
            raise ValueError("CIDEr-D needs the references of at least one training image; came 0")
        self._tokenised = tokenised
        frequency: Counter[Ngram] = Counter()
        for index, references in enumerate(references_of_train):
            _refuse_empty(references, f"training image {index}")
            frequency.update(_distinct(map(self._tokens, references)))
        self._log_images = math.log(len(references_of_train))
        self._rarity = {
            ngram: self._log_images - math.log(images) for ngram, images in frequency.items()
        }
        self._cache: dict[tuple[str, ...], _Image] = {}

    def scores(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
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
        pairs = zip(candidates, references, strict=True)
        return np.array(
            [self._score(self._tokens(candidate), self._image(own)) for candidate, own in pairs],
            dtype=np.float64,
        )

    def _tokens(self, caption: str) -> list[str]:
        return caption.split() if self._tokenised else tokenise(caption)

    def _score(self, tokens: Tokens, image: _Image) -> float:
        """Mean over references and orders of clipped cosine times length penalty, times 10."""
        totals = [0.0] * len(image.lengths)
        for weights, postings in zip(self._weights(tokens), image.postings, strict=True):
            hits = weights.keys() & postings.keys()
            norm = math.hypot(*weights.values()) if hits else 0.0
            if not norm:
                continue
            for ngram in hits:
                weight = weights[ngram]
                for reference, theirs, per_norm in postings[ngram]:
                    clipped = weight if weight < theirs else theirs
                    totals[reference] += clipped * per_norm / norm
        length = len(tokens)
        penalised = sum(
            total * _penalty(length, own) for total, own in zip(totals, image.lengths, strict=True)
        )
        return _SCALE * penalised / (_ORDERS * len(totals))

    def _image(self, references: Sequence[str]) -> _Image:
        """The references inverted, computed when an image is seen first."""
        key = tuple(references)
        image = self._cache.get(key)
        if image is None:
            _refuse_empty(references, "an image to score")
            image = self._cache[key] = self._invert([self._tokens(own) for own in references])
        return image

    def _weights(self, tokens: Tokens) -> list[dict[Ngram, float]]:
        """By order: term frequency times log(images / images that have the n-gram)."""
        rarity, unseen = self._rarity.get, self._log_images
        orders = _ngrams(tokens)
        # Without a repeated word no n-gram repeats; worth a case of its own, it halves the time.
        if len(set(tokens)) == len(tokens):
            return [{ngram: rarity(ngram, unseen) for ngram in order} for order in orders]
        return [
            {ngram: count * rarity(ngram, unseen) for ngram, count in Counter(order).items()}
            for order in orders
        ]

    def _invert(self, references: Sequence[Tokens]) -> _Image:
        postings: list[dict[Ngram, list[tuple[int, float, float]]]] = [{} for _ in range(_ORDERS)]
        for index, tokens in enumerate(references):
            for order, weights in enumerate(self._weights(tokens)):
                norm = math.hypot(*weights.values())
                for ngram, weight in weights.items():
                    if norm:
                        posting = (index, weight, weight / norm)
                        postings[order].setdefault(ngram, []).append(posting)
        return _Image(postings, [len(tokens) for tokens in references])


def cider(
    references: Sequence[Sequence[Tokens]], candidates: Sequence[Tokens]
) -> NDArray[np.float64]:
    """coco-caption's `Cider` per image: frequencies from these references themselves.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.

    Returns:
        (N,) in [0, 10].
    """
    joined = [[" ".join(reference) for reference in own] for own in references]
    scorer = CiderD(joined, tokenised=True)
    return scorer.scores([" ".join(candidate) for candidate in candidates], joined)


def _ngrams(tokens: Tokens) -> tuple[Iterable[Ngram], ...]:
    """The n-grams of orders 1..4, repeats included."""
    first, second, third = tokens[1:], tokens[2:], tokens[3:]
    return (
        zip(tokens, strict=True),
        zip(tokens, first, strict=False),
        zip(tokens, first, second, strict=False),
        zip(tokens, first, second, third, strict=False),
    )


@lru_cache(maxsize=4096)
def _penalty(length: int, other: int) -> float:
    """Gaussian of the difference in length; coco-caption counts bigrams as the length."""
    difference = max(0, length - 1) - max(0, other - 1)
    return math.exp(-(difference**2) / (2 * _SIGMA**2))


def _distinct(captions: Iterable[Tokens]) -> set[Ngram]:
    return {ngram for caption in captions for order in _ngrams(caption) for ngram in order}


def _refuse_empty(references: Sequence[str], where: str) -> None:
    if not references:
        raise ValueError(f"CIDEr-D: {where} has no reference; expected at least one")
