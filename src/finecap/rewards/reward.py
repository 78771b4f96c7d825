"""A weighted sum of terms."""

from collections.abc import Mapping

import torch
from torch import Tensor

from finecap.rewards.batch import EncodedBatch, RewardBatch
from finecap.rewards.ingredients import Ingredients
from finecap.rewards.registry import make_term


class Reward:
    """A weighted sum of terms.

    Args:
        weights: term name to weight.
        ingredients: what the terms are made of.

    Raises:
        ValueError: no term, an unknown one, or one that lacks an ingredient.
    """

    def __init__(self, weights: Mapping[str, float], ingredients: Ingredients) -> None:
        if not weights:
            raise ValueError("a reward without a term; name at least one in `weights`")
        self.weights, self._encoder = dict(weights), ingredients.encoder
        self._terms = {name: make_term(name, ingredients) for name in weights}

    @torch.no_grad()
    def __call__(
        self, batch: RewardBatch, weights: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """Rewards (B, K) by `weights` (None: the reward's own), and the mean of each term.

        Raises:
            ValueError: a term gives another shape, or no number.
        """
        weights = self.weights if weights is None else weights
        encoded = EncodedBatch(batch, self._encoder)
        scores = {
            name: _checked(name, term(encoded), encoded) for name, term in self._terms.items()
        }
        total = torch.stack([weights[name] * score for name, score in scores.items()]).sum(0)
        return total, {name: float(score.mean()) for name, score in scores.items()}


def _checked(name: str, score: Tensor, batch: EncodedBatch) -> Tensor:
    """The term's scores, where the images' vectors are."""
    if score.shape != (batch.B, batch.K):
        raise ValueError(
            f"reward term `{name}` gave {tuple(score.shape)}, expected a score for each caption: "
            f"{(batch.B, batch.K)}"
        )
    if not score.isfinite().all():
        b, k = (int(i) for i in (~score.isfinite()).nonzero()[0])
        raise ValueError(
            f"reward term `{name}` gave {score[b, k].item()} for "
            f"{batch.batch.captions[b][k]!r}, expected a number"
        )
    return score.float().to(batch.batch.vectors.device)
