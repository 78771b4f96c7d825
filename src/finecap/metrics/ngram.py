"""The n-gram metrics of a set of captions: BLEU, ROUGE-L and CIDEr, from raw strings.

Composes `ptb.py`, `bleu.py`, `rouge.py` and `cider.py`; equal to pycocoevalcap without its Java.
Names: `cider` is what coco-caption and the papers that use it print as "CIDEr"; its code computes
CIDEr-D (clipped, penalised for length), with document frequencies of the scored references.
`cider_plain` is the CIDEr of Vedantam et al. 2015, without either. What stays out: METEOR and
SPICE, which are Java programs (`meteor.py`, `spice.py`); intervals (`evaluation/bootstrap.py`).
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from finecap.metrics import bleu, cider
from finecap.metrics.bleu import BleuStatistics
from finecap.metrics.ngram_join import join
from finecap.metrics.ptb import tokenise_lines
from finecap.metrics.rouge import rouge_l

Id = TypeVar("Id", bound=Hashable)


class Tokenised(NamedTuple):
    """N images' captions as coco-caption's scorers read them: tokens joined by one space each."""

    references: list[list[str]]  # (N, R), R may differ by image
    candidates: list[str]  # (N,)


class NgramScores(NamedTuple):
    """BLEU as sums that resamples weigh, and what is a mean over images."""

    bleu: BleuStatistics
    per_image: dict[str, NDArray[np.float64]]
    """`rouge_l` (0-1), `cider`, `cider_plain` (0-10), each (N,)."""


def tokenised(references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]) -> Tokenised:
    """Both tokenised, in the order of `candidates`.

    Lines are read ahead as in the reference, which holds candidates in one file and references in
    another: see `ptb.tokenise_lines`.

    Args:
        references: by image, at least one sentence each, raw.
        candidates: by image, one caption each, raw.

    Raises:
        ValueError: the ids differ, an image has no reference, or there is no image.
    """
    _check(references, candidates)
    own = [references[image] for image in candidates]
    lines = iter(_texts(list(chain.from_iterable(own))))
    return Tokenised(
        [[next(lines) for _ in sentences] for sentences in own], _texts(list(candidates.values()))
    )


def measure(corpus: Tokenised) -> NgramScores:
    """All n-gram metrics of the corpus."""
    # As coco-caption's scorers split: CIDEr and BLEU at any white space, which takes apart the rare
    # tokens that hold a no-break space ("1 1/2"), ROUGE at the joining spaces alone.
    joined = join(
        [[text.split() for text in own] for own in corpus.references],
        [text.split() for text in corpus.candidates],
    )
    rouge = rouge_l(
        [[text.split(" ") for text in own] for own in corpus.references],
        [text.split(" ") for text in corpus.candidates],
    )
    return NgramScores(bleu.of_join(joined), {"rouge_l": rouge, **cider.of_join(joined)._asdict()})


def score(references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]) -> dict[str, float]:
    """bleu_1..4, rouge_l (0-1), cider and cider_plain (0-10) of the captions.

    Args and errors as of `tokenised`. An empty caption, or one of punctuation alone, scores 0 and
    counts as an image, as in coco-caption.

    >>> round(score({"i": ["A dog.", "a red dog"]}, {"i": "a dog"})["bleu_1"], 6)
    1.0
    """
    found = measure(tokenised(references, candidates))
    return {
        **{f"bleu_{n}": float(value) for n, value in enumerate(found.bleu.scores(), start=1)},
        **{name: float(values.mean()) for name, values in found.per_image.items()},
    }


def per_image(
    references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]
) -> dict[str, NDArray[np.float64]]:
    """What `score` is the mean of: `NgramScores.per_image`. BLEU has no such values."""
    return measure(tokenised(references, candidates)).per_image


def bleu_statistics(
    references: Mapping[Id, Sequence[str]], candidates: Mapping[Id, str]
) -> BleuStatistics:
    """The per-image sums from which BLEU of any resample follows, in the order of `candidates`."""
    return measure(tokenised(references, candidates)).bleu


def _texts(captions: Sequence[str]) -> list[str]:
    return [" ".join(tokens) for tokens in tokenise_lines(captions)]


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
