"""pycocoevalcap's CIDEr-D with document frequencies of a training set, to compare ours with.

Its scorer counts frequencies over what it scores. A trainer instead gives it those of the training
references, once, and adds a step's candidates each with its references.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes in the reference package
    from pycocoevalcap.cider.cider_scorer import CiderScorer


class _Corpus(CiderScorer):
    """The scorer as it is, but for the number of images, which it sets from what it scores."""

    images = 1

    @property
    def ref_len(self) -> float:
        return math.log(self.images)

    @ref_len.setter
    def ref_len(self, _: float | None) -> None:
        """Stays that of the training set."""


class ReferenceCiderD:
    """Frequencies of N training images' references, tokens joined by spaces."""

    def __init__(self, references_of_train: Sequence[Sequence[str]]) -> None:
        counted = CiderScorer()
        for references in references_of_train:
            counted += ("", references)
        counted.compute_doc_freq()
        self._frequency = counted.document_frequency
        self._images = len(references_of_train)

    def scores(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        scorer = _Corpus()
        scorer.images, scorer.document_frequency = self._images, self._frequency
        for candidate, own in zip(candidates, references, strict=True):
            scorer += (candidate, own)
        return np.array(scorer.compute_cider())
