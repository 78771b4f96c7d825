"""What is rewarded, and what terms share of it: features of each distinct caption, made once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from finecap.models.clip import ClipEncoder


@dataclass(frozen=True)
class RewardBatch:
    """B images with K captions each."""

    captions: Sequence[Sequence[str]]  # (B, K)
    vectors: Tensor  # (B, D), unit length
    references: Sequence[Sequence[str]]  # (B, R)
    positions: np.ndarray | None = None  # (B,) rows of the features, for terms that read more


class EncodedBatch:
    """A batch as terms see it. Captions that occur twice are encoded once, for all terms.

    Attributes:
        batch: what is rewarded.
        captions: (B * K) captions, K of each image in a row.
        distinct: the distinct ones, sorted.
    """

    def __init__(self, batch: RewardBatch, encoder: ClipEncoder | None) -> None:
        self.batch, self._encoder = batch, encoder
        self.B, self.K = len(batch.captions), len(batch.captions[0])
        self.captions = [caption for image in batch.captions for caption in image]
        self.distinct = sorted(set(self.captions))
        index = {caption: i for i, caption in enumerate(self.distinct)}
        self._index = torch.tensor([index[caption] for caption in self.captions])  # (B * K,)

    def each(self, score: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """`score` of the distinct captions, (N, ...), laid out as (B, K, ...)."""
        found = score(self.distinct).to(self.batch.vectors.device)
        return found[self._index].unflatten(0, (self.B, self.K))

    @cached_property
    def text_features(self) -> Tensor:
        """Unit vectors of the captions, prompt included, (B, K, D)."""
        return self.each(self.encoder.encode_texts)

    @cached_property
    def grammar_log_scores(self) -> Tensor:
        """The logs of g of the captions, (B, K), at most 0."""
        return self.each(self.encoder.grammar_log_scores)

    @property
    def encoder(self) -> ClipEncoder:
        """The encoder that rewards.

        Raises:
            ValueError: there is none.
        """
        if self._encoder is None:
            raise ValueError("a reward term reads text features; give `Ingredients` an encoder")
        return self._encoder

    @property
    def positions(self) -> np.ndarray:
        """Rows of the features, (B,).

        Raises:
            ValueError: the batch does not say them.
        """
        if self.batch.positions is None:
            raise ValueError(
                "a reward term reads what is cached by row; give `RewardBatch` its "
                "`positions` among the features"
            )
        return self.batch.positions
