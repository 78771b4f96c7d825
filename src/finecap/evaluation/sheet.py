"""The sheet that metrics of one split are entered into, each with its interval.

Four ways to an interval, by what the metric is: a mean over images, a statistic of the whole corpus
(BLEU, a median), a ratio of sums of counts, and a number of distinct things. All of one sheet
resample the same images. What is not here: which function scores what (`scoring`), the resampling
itself (`bootstrap`).
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finecap.config import EvaluationConfig
from finecap.evaluation.bootstrap import Array, Interval, Statistic, corpus_interval, interval
from finecap.evaluation.results import Absent, Metric, not_defined


class Shares(Protocol):
    """Metrics that are ratios of sums of per-image counts."""

    @property
    def numerators(self) -> Mapping[str, NDArray[np.int64]]:
        """By name: (N,)."""
        ...

    @property
    def denominators(self) -> Mapping[str, NDArray[np.int64]]:
        """By name: (N,)."""
        ...

    def reason(self, name: str) -> str:
        """Why the metric has no value, where its denominators are all 0."""
        ...


class ScoreSheet:
    """Metrics of N images as they are found, and the per-image values behind the means."""

    def __init__(self, n: int, config: EvaluationConfig) -> None:
        """An empty sheet for `n` images."""
        self.n = n
        self.metrics: dict[str, Metric] = {}
        self.per_image: dict[str, Array] = {}
        self._confidence = config.confidence
        self._resamples, self._seed = config.resamples, config.seed

    def mean(self, name: str, values: Array) -> None:
        """Enter a metric that is the mean of per-image `values` (N,)."""
        self.per_image[name] = values
        found = interval(
            values, resamples=self._resamples, confidence=self._confidence, seed=self._seed
        )
        self.metrics[name] = _metric(found)

    def corpus(self, name: str, statistic: Statistic, n: int | None = None) -> None:
        """Enter a metric of the whole corpus, resting on `n` of its images (all by default)."""
        found = corpus_interval(
            statistic,
            self.n,
            resamples=self._resamples,
            confidence=self._confidence,
            seed=self._seed,
        )
        self.metrics[name] = _metric(found if n is None else replace(found, n=n))

    def share(self, name: str, scored: Shares, source: str) -> None:
        """Enter a ratio of sums of counts, `source` being its name in `scored`."""
        above = scored.numerators[source].astype(np.float64)
        below = scored.denominators[source].astype(np.float64)
        if not below.any():
            self.absent(name, not_defined(scored.reason(source)))
            return
        self.corpus(name, lambda rows: ratio(rows @ above, rows @ below), int((below > 0).sum()))

    def count(self, name: str, words: Sequence[Sequence[str]]) -> None:
        """Enter the number of distinct words, with a jackknife interval."""
        total, own = _distinct(words)
        self._jackknife(name, float(total), total - own)

    def distinct(self, name: str, words: Sequence[Sequence[str]], n: int) -> None:
        """Enter distinct n-grams over all n-grams, with a jackknife interval within [0, 1]."""
        ngrams = [list(zip(*(own[start:] for start in range(n)), strict=False)) for own in words]
        lengths = np.array([len(own) for own in ngrams], dtype=np.float64)
        if not lengths.any():
            self.absent(name, not_defined(f"no caption has {n} words"))
            return
        types, own = _distinct(ngrams)
        value, others = float(types / lengths.sum()), lengths.sum() - lengths
        # The only caption with n-grams leaves nothing to judge its weight by.
        without = np.divide(types - own, others, out=np.full(len(own), value), where=others > 0)
        self._jackknife(name, value, without, highest=1.0)

    def _jackknife(
        self, name: str, value: float, without: Array, highest: float = float("inf")
    ) -> None:
        """Enter a metric by what it is `without` each image, (N,); normal interval.

        A bootstrap resample leaves a third of the images out and repeats others, so its distinct
        words lie far below the split's own and would be no interval of it (Efron & Tibshirani
        1993, chapter 11).
        """
        n = len(without)
        spread = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
        margin = spread * NormalDist().inv_cdf((1 + self._confidence) / 2)
        low, high = max(0.0, value - margin), min(highest, value + margin)
        self.metrics[name] = {"value": value, "ci_low": low, "ci_high": high, "n": self.n}

    def absent(self, name: str, metric: Absent) -> None:
        """Enter a metric without a value, with the reason."""
        self.metrics[name] = metric


def _distinct(items: Sequence[Sequence[Hashable]]) -> tuple[int, Array]:
    """How many distinct items all images have together, and how many each has alone, (N,)."""
    occurrences = Counter(item for own in items for item in set(own))
    alone = [sum(occurrences[item] == 1 for item in set(own)) for own in items]
    return len(occurrences), np.array(alone, dtype=np.float64)


def _metric(found: Interval) -> Metric:
    return {
        "value": found.value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.n,
    }


def ratio(above: Array, below: Array) -> Array:
    """Above / below; NaN where a resample drew no image with a count."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
