"""BLEU-1..4 as coco-caption computes it, from statistics that add up over images.

A caption's clipped matches, n-gram counts and lengths are kept per image, so the corpus score of
any weighting of the images (a bootstrap resample) is one matrix product. What stays out:
tokenising (`ptb.py`) and the mean of per-image scores, which is not what coco-caption reports.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15  # coco-caption's guards against division by zero


@dataclass(frozen=True, slots=True)
class BleuStatistics:
    """What BLEU sums over a corpus, per image."""

    matches: NDArray[np.float64]
    """(N, 4): n-grams of the candidate that a reference has too, clipped at its count."""
    guesses: NDArray[np.float64]
    """(N, 4): n-grams of the candidate."""
    candidate_lengths: NDArray[np.float64]
    """(N,): words."""
    reference_lengths: NDArray[np.float64]
    """(N,): words of the reference closest in length, the shorter at a tie."""

    def scores(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """BLEU-1..4 of the corpus in which image i counts `weights[i]` times.

        Args:
            weights: (S, N), one row a resample; None counts every image once.

        Returns:
            (S, 4), or (4,) without weights.
        """
        rows = np.ones((1, len(self.guesses))) if weights is None else weights
        precisions = (rows @ self.matches + _TINY) / (rows @ self.guesses + _SMALL)  # (S, 4)
        bleu = np.cumprod(precisions, axis=1) ** (1 / np.arange(1, ORDERS + 1))
        ratio = (rows @ self.candidate_lengths + _TINY) / (rows @ self.reference_lengths + _SMALL)
        with np.errstate(under="ignore"):
            bleu = bleu * np.exp(np.minimum(0, 1 - 1 / ratio))[:, None]
        return bleu[0] if weights is None else bleu


def statistics(
    references: Sequence[Sequence[Sequence[str]]], candidates: Sequence[Sequence[str]]
) -> BleuStatistics:
    """The sums BLEU needs, per image.

    Source: Papineni et al. 2002; pycocoevalcap 1.2 `bleu_scorer.py`, option `closest`.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.
    """
    rows = [_of_image(*pair) for pair in zip(references, candidates, strict=True)]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 2 * ORDERS + 2)
    return BleuStatistics(
        matches=table[:, :ORDERS],
        guesses=table[:, ORDERS : 2 * ORDERS],
        candidate_lengths=table[:, -2],
        reference_lengths=table[:, -1],
    )


def _of_image(references: Sequence[Sequence[str]], candidate: Sequence[str]) -> list[float]:
    """One row: matches of 4 orders, guesses of 4 orders, candidate length, reference length."""
    length = len(candidate)
    allowed = ngrams(references[0])
    for reference in references[1:]:
        allowed |= ngrams(reference)
    matches = [0] * ORDERS
    for ngram, count in ngrams(candidate).items():
        matches[len(ngram) - 1] += min(count, allowed[ngram])
    guesses = [max(0, length - order) for order in range(ORDERS)]
    closest = min((abs(len(reference) - length), len(reference)) for reference in references)[1]
    return [*matches, *guesses, length, closest]


def ngrams(tokens: Sequence[str], orders: int = ORDERS) -> Counter[tuple[str, ...]]:
    """How often each n-gram of 1 to `orders` tokens occurs."""
    return Counter(
        tuple(tokens[start : start + order])
        for order in range(1, orders + 1)
        for start in range(len(tokens) - order + 1)
    )
