"""The n-gram metrics of a set of captions: BLEU, ROUGE-L and CIDEr, from raw strings.

Composes `ptb.py`, `bleu.py`, `rouge.py` and `cider.py`; equal to pycocoevalcap without its Java.
What stays out: METEOR and SPICE (they need Java programs), intervals (`evaluation/bootstrap.py`).
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from finecap.metrics import bleu
from finecap.metrics.bleu import BleuStatistics
from finecap.metrics.cider import cider
from finecap.metrics.ptb import tokenise
from finecap.metrics.rouge import rouge_l

Id = TypeVar("Id", bound=Hashable)


def score(references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]) -> dict[str, float]:
    """bleu_1..4, rouge_l (0-1) and cider (0-10) of the captions, as coco-caption prints them.

    Args:
        references: by image, at least one sentence each, raw.
        candidates: by image, one caption each, raw.

    Raises:
        ValueError: the ids differ, an image has no reference, or there is no image.
    """
    tokenised = _tokenised(references, candidates)
    scores = bleu.statistics(*tokenised).scores()
    return {
        **{f"bleu_{order}": float(value) for order, value in enumerate(scores, start=1)},
        "rouge_l": float(rouge_l(*tokenised).mean()),
        "cider": float(cider(*tokenised).mean()),
    }


def per_image(
    references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]
) -> dict[str, NDArray[np.float64]]:
    """`rouge_l` and `cider` of each image, (N,), in the order of `candidates`.

    The mean is `score`'s value. BLEU has no such values: see `bleu_statistics`.

    Raises:
        ValueError: as `score`.
    """
    tokenised = _tokenised(references, candidates)
    return {"rouge_l": rouge_l(*tokenised), "cider": cider(*tokenised)}


def bleu_statistics(
    references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]
) -> BleuStatistics:
    """The per-image sums from which BLEU of any resample follows, in the order of `candidates`.

    Raises:
        ValueError: as `score`.
    """
    return bleu.statistics(*_tokenised(references, candidates))


def _tokenised(
    references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]
) -> tuple[list[list[list[str]]], list[list[str]]]:
    """References and candidates as tokens, both in the order of `candidates`."""
    _check(references, candidates)
    return (
        [[tokenise(sentence) for sentence in references[image]] for image in candidates],
        [tokenise(caption) for caption in candidates.values()],
    )


def _check(references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]) -> None:
    missing = [image for image in references if image not in candidates]
    unknown = [image for image in candidates if image not in references]
    if missing or unknown:
        raise ValueError(
            "references and candidates must have the same ids; "
            f"without candidate: {len(missing)} {missing[:3]}, "
            f"without references: {len(unknown)} {unknown[:3]}"
        )
    if not candidates:
        raise ValueError("expected at least one image to score; came none")
    for image in candidates:
        own = references[image]
        if isinstance(own, str) or not own:
            raise ValueError(
                f"image {image!r}: expected a list of at least one reference; came {own!r}"
            )
