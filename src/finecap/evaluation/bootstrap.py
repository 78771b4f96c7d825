"""Percentile intervals by resampling images, paired when two systems are compared.

A resample is a row of weights (how often each image was drawn), so a metric's resamples are one
matrix product and all metrics of one seed share the weights: the same images are drawn for both
sides of a comparison. What stays out: what a metric is (`metrics/`), and when a difference is large
enough to act on (`promotion.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""(S, N) weights -> (S,) values: a metric of the whole corpus, such as BLEU."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric over n images, with its bootstrap interval."""

    value: float
    ci_low: float
    ci_high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """a minus b over the same images; `p_value` is two-sided, of the hypothesis "no difference"."""

    value: float
    ci_low: float
    ci_high: float
    p_value: float


def interval(per_image: Array, *, resamples: int, confidence: float, seed: int) -> Interval:
    """Mean of a per-image metric and its percentile interval.

    Args:
        per_image: (N,) values; NaN where the metric is undefined for an image: it then counts in
            no mean, and n is the number of the others.
        resamples: S, how often N images are drawn with replacement.
        confidence: e.g. 0.95.
        seed: the same seed and N draw the same images, for every metric.

    Raises:
        ValueError: not one-dimensional, or no image with a value.
    """
    defined = _defined(per_image, "per_image")
    samples = _means(per_image, defined, resamples, seed)
    low, high = _percentiles(samples, confidence)
    return Interval(float(per_image[defined].mean()), low, high, int(defined.sum()))


def corpus_interval(
    statistic: Statistic, n: int, *, resamples: int, confidence: float, seed: int
) -> Interval:
    """A corpus metric's value and percentile interval.

    Args:
        statistic: (S, n) weights -> (S,) values.
        n: images.
        resamples: S.
        confidence: e.g. 0.95.
        seed: as in `interval`.

    Raises:
        ValueError: the statistic's result is not (S,), or not finite on the corpus itself.
    """
    value = _evaluate(statistic, np.ones((1, n)))[0]
    if not np.isfinite(value):
        raise ValueError(f"the statistic of the whole corpus is {value}; expected a finite number")
    low, high = _percentiles(_evaluate(statistic, weights(n, resamples, seed)), confidence)
    return Interval(float(value), low, high, n)


def paired_difference(
    a: Array, b: Array, *, resamples: int, confidence: float, seed: int
) -> Difference:
    """Mean of a minus mean of b over the same images.

    Images where either is NaN count on neither side.

    Args:
        a: (N,) values per image.
        b: (N,) values of the same images in the same order.
        resamples: S.
        confidence: e.g. 0.95.
        seed: as in `interval`.

    Raises:
        ValueError: shapes differ, or no image has both values.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"paired_difference: expected values of the same images; came {a.shape} and {b.shape}"
        )
    difference = a - b
    defined = _defined(difference, "a - b")
    samples = _means(difference, defined, resamples, seed)
    low, high = _percentiles(samples, confidence)
    return Difference(float(difference[defined].mean()), low, high, _p_value(samples))


def corpus_paired_difference(
    a: Statistic, b: Statistic, n: int, *, resamples: int, confidence: float, seed: int
) -> Difference:
    """As `paired_difference`, for two corpus statistics over the same n images."""

    def difference(rows: Array) -> Array:
        return _evaluate(a, rows) - _evaluate(b, rows)

    whole = corpus_interval(difference, n, resamples=resamples, confidence=confidence, seed=seed)
    samples = difference(weights(n, resamples, seed))
    return Difference(whole.value, whole.ci_low, whole.ci_high, _p_value(samples))


def median(per_image: Array) -> Statistic:
    """The median as a corpus statistic: of each resample, the mean of its middle two if N is even.

    Args:
        per_image: (N,) values, none of them NaN.

    Returns:
        (S, N) weights -> (S,) medians.
    """
    order = per_image.argsort()
    values, middle = per_image[order], ((len(order) - 1) // 2, len(order) // 2)

    def medians(rows: Array) -> Array:
        # A row at a time: the cumulated weights of all would double what a bootstrap holds.
        places = [np.searchsorted(row[order].cumsum(), middle, side="right") for row in rows]
        return values[np.array(places)].mean(axis=1)  # (S, 2) -> (S,)

    return medians


@lru_cache(maxsize=4)
def weights(n: int, resamples: int, seed: int) -> Array:
    """(S, N): how often each of n images was drawn in each resample. Read-only, kept per seed."""
    if n < 1 or resamples < 1:
        raise ValueError(f"bootstrap: expected n >= 1 and resamples >= 1; came {n} and {resamples}")
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, n))
    for row in drawn:
        row[:] = np.bincount(generator.integers(n, size=n), minlength=n)
    drawn.flags.writeable = False
    return drawn


def _means(values: Array, defined: NDArray[np.bool_], resamples: int, seed: int) -> Array:
    """(S,) means over the defined images; a resample that drew none of them is left out."""
    rows = weights(len(values), resamples, seed)
    totals = rows @ np.where(defined, values, 0.0)
    counts = rows @ defined.astype(np.float64)
    return totals[counts > 0] / counts[counts > 0]


def _defined(values: Array, name: str) -> NDArray[np.bool_]:
    if values.ndim != 1:
        raise ValueError(f"bootstrap: expected {name} of shape (N,); came {values.shape}")
    if np.isinf(values).any():
        raise ValueError(f"bootstrap: {name} has infinite values; expected numbers, or NaN")
    defined = ~np.isnan(values)
    if not defined.any():
        raise ValueError(f"bootstrap: {name} has no defined value among {len(values)} images")
    return defined


def _evaluate(statistic: Statistic, rows: Array) -> Array:
    values = np.asarray(statistic(rows), dtype=np.float64)
    if values.shape != (len(rows),):
        raise ValueError(f"bootstrap: expected values of shape ({len(rows)},); came {values.shape}")
    return values


def _percentiles(samples: Array, confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"bootstrap: expected a confidence between 0 and 1; came {confidence}")
    finite = samples[~np.isnan(samples)]
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _p_value(samples: Array) -> float:
    """Twice the smaller share of resamples on one side of 0, never 0 (Davison & Hinkley 1997)."""
    n = len(samples)
    side = min((samples <= 0).sum(), (samples >= 0).sum())
    return float(min(1.0, 2 * (side + 1) / (n + 1)))
