"""BLEU-1..4 as coco-caption computes it, from statistics that add up over images.

A caption's clipped matches, n-gram counts and lengths are kept per image, so the corpus score of
any weighting of the images (a bootstrap resample) is one matrix product. What stays out:
tokenising (`ptb.py`) and the mean of per-image scores, which is not what coco-caption reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.ngram_join import NgramJoin, join, totals
from finecap.metrics.ngram_keys import ORDERS

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
    return of_join(join(references, candidates))


def of_join(joined: NgramJoin) -> BleuStatistics:
    """`statistics` of a corpus whose n-grams have been counted and joined."""
    ours, lengths = joined.candidates, joined.candidate_lengths
    allowed = np.zeros(len(ours.counts), dtype=np.int64)
    np.maximum.at(allowed, joined.mine, joined.references.counts[joined.its])
    clipped = np.minimum(ours.counts, allowed).astype(np.float64)
    return BleuStatistics(
        matches=totals(ours, clipped, len(lengths)),
        guesses=np.maximum(lengths[:, None] - np.arange(ORDERS), 0).astype(np.float64),
        candidate_lengths=lengths.astype(np.float64),
        reference_lengths=_closest(joined),
    )


def _closest(joined: NgramJoin) -> NDArray[np.float64]:
    """(N,) words of the reference closest in length to the candidate, the shorter at a tie."""
    lengths = joined.reference_lengths
    gaps = np.abs(lengths - joined.candidate_lengths[joined.image_of])
    order = np.lexsort((lengths, gaps, joined.image_of))
    firsts = np.searchsorted(joined.image_of, np.arange(len(joined.candidate_lengths)))
    return lengths[order[firsts]].astype(np.float64)
