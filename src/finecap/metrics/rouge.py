"""ROUGE-L as coco-caption computes it, per image.

What stays out: tokenising (`ptb.py`). Kept from the reference: best precision and best recall may
come from different references, and an empty caption counts as one empty token.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BETA = 1.2


def rouge_l(
    references: Sequence[Sequence[Sequence[str]]], candidates: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """F-measure of the longest common subsequence, beta 1.2, per image.

    Source: Lin 2004; pycocoevalcap 1.2 `rouge.py`.

    Args:
        references: N images, each with its references, each a list of tokens.
        candidates: N captions, each a list of tokens.

    Returns:
        (N,) in [0, 1].
    """
    pairs = zip(references, candidates, strict=True)
    return np.array([_of_image(*pair) for pair in pairs], dtype=np.float64)


def _of_image(references: Sequence[Sequence[str]], candidate: Sequence[str]) -> float:
    tokens = list(candidate) or [""]
    precision = recall = 0.0
    for reference in references:
        words = list(reference) or [""]
        common = common_subsequence_length(words, tokens)
        precision = max(precision, common / len(tokens))
        recall = max(recall, common / len(words))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def common_subsequence_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token lists.

    One integer holds a row of the dynamic programme as bits (Hyyro 2004), so that a pair costs
    one pass over `second`.

    >>> common_subsequence_length("a red dog runs".split(), "a dog runs fast".split())
    3
    """
    positions: dict[str, int] = {}
    for index, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    row = full
    for token in second:
        hits = row & positions.get(token, 0)
        row = (row + hits | row - hits) & full
    return len(first) - row.bit_count()
