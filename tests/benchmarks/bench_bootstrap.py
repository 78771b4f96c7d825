"""Intervals of an evaluation: asked is at most 5 s for 1,000 resamples of 5,000 images, 12 metrics.

Two captioners on the same images; of each metric the interval of one of them and of the paired
difference. Six metrics are means over images, four are BLEU-1 to -4 of the corpus, two are median
ranks. Cold: the resamples are drawn too, as for the first metric of a split. Values are random, for
they do not change the time.
"""

from collections.abc import Callable

import numpy as np

from finecap.evaluation import bootstrap
from finecap.evaluation.bootstrap import Array, Statistic
from finecap.metrics.bleu import BleuStatistics
from tests.benchmarks.measure import cpu_seconds_of

IMAGES, RESAMPLES, CONFIDENCE, SEED = 5_000, 1_000, 0.95, 0
MEANS = 6


def run() -> dict[str, object]:
    """CPU seconds of all 12 metrics, of each kind alone, and of drawing the resamples."""
    means, bleu, ranks = _captioners()
    kinds = {"six_means": means, "four_bleu": bleu, "two_medians": ranks}

    def warm() -> None:
        for kind in kinds.values():
            kind()

    def cold() -> None:
        bootstrap.weights.cache_clear()
        warm()

    def draw() -> None:
        bootstrap.weights.cache_clear()
        bootstrap.weights(IMAGES, RESAMPLES, SEED)

    works = {"all_cold": cold, "drawing": draw, "all_warm": warm, **kinds}
    return {f"{name}_s": value for name, value in cpu_seconds_of(works, repeats=3).items()}


def _captioners() -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """The work of each kind of metric: interval and paired difference of two captioners."""
    generator = np.random.default_rng(SEED)
    values = generator.random((2, MEANS, IMAGES))
    counts = [_bleu(generator) for _ in range(2)]
    ranks = 1 + generator.geometric(0.02, (2, 2, IMAGES)).astype(np.float64)

    def means() -> None:
        for one, other in zip(*values, strict=True):
            bootstrap.interval(one, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED)
            bootstrap.paired_difference(
                one, other, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED
            )

    def bleu() -> None:
        for order in range(4):
            one, other = (lambda rows, c=c, o=order: c.scores(rows)[:, o] for c in counts)
            _corpus(one, other)

    def medians() -> None:
        for one, other in zip(*ranks, strict=True):
            _corpus(bootstrap.median(one), bootstrap.median(other))

    return means, bleu, medians


def _corpus(one: Statistic, other: Statistic) -> None:
    """Interval and paired difference of a corpus metric."""
    bootstrap.corpus_interval(one, IMAGES, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED)
    bootstrap.corpus_paired_difference(
        one, other, IMAGES, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED
    )


def _bleu(generator: np.random.Generator) -> BleuStatistics:
    """Sums as captions of 9 to 12 words have them."""
    lengths: Array = generator.integers(9, 13, IMAGES).astype(np.float64)
    guesses = lengths[:, None] - np.arange(4)  # (N, 4)
    return BleuStatistics(
        np.floor(guesses * generator.random((IMAGES, 4))), guesses, lengths, lengths
    )
