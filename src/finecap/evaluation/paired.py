"""Whether a gain may be chance, when both captioners were scored on the same images.

A table's intervals are `bootstrap`'s; here is the one test that a promotion rests on. Why paired:
most images are as hard for one captioner as for the other, so that the difference per image is far
less noisy than the two rates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 10_000
"""The smallest p that the test can find is 1 / 10,001."""


def paired_p_value(champion: NDArray[np.float64], challenger: NDArray[np.float64]) -> float:
    """One-sided p that the challenger's mean gain is chance, by sign flips of the differences.

    Under the null hypothesis each image's difference is as likely to have either sign (Fisher's
    randomisation test for pairs). The same signs are drawn whatever the scores, those of ties
    included, so that p never rises when the challenger does better on an image.

    Args:
        champion: (B,), finite.
        challenger: (B,), of the same images in the same order.

    Raises:
        ValueError: the two are no pairs, or not finite.
    """
    if champion.shape != challenger.shape:
        raise ValueError(f"expected pairs, came {champion.shape} and {challenger.shape}")
    differences = challenger - champion
    if not np.isfinite(differences).all():
        raise ValueError("expected finite scores of every image, came NaN or infinity")
    if not differences.any():
        return 1.0
    gain = differences.sum()
    generator = np.random.default_rng(0)
    as_great = 0
    for count in _blocks(PERMUTATIONS, len(differences)):
        signs = generator.integers(0, 2, (count, len(differences)), dtype=np.int8) * 2 - 1
        as_great += int((signs @ differences >= gain - 1e-9).sum())
    return (1 + as_great) / (1 + PERMUTATIONS)


def _blocks(total: int, width: int) -> Sequence[int]:
    """Rows per block, so that a block of signs stays below some 2 million cells."""
    size = max(1, 2_000_000 // width)
    return [min(size, total - start) for start in range(0, total, size)]
