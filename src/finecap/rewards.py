"""What a sampled caption earns: weighted terms by name, each a score of (image, caption).

    clip_s        w * max(cos(image, caption), 0), w = 2.5, prompt included (Hessel et al. 2021)
    grammar       g(c) in [0, 1], the grammar network on the same text encoder
    grammar_log   1 + max(log g(c), -M) / M in [0, 1], M = 60
    cider         CIDEr-D against the image's references, document frequencies from train

`grammar` alone is flat where a policy has lost the language: g is 0 for every word salad (log g is
-60 to -20), so that no sample beats another and nothing leads back. `grammar_log` ranks them.

Captions that occur twice in a batch are encoded once. The image tower is frozen in every encoder a
reward uses, so images come as cached vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finecap.metrics.cider import CiderD
from finecap.metrics.clipscore import clip_s
from finecap.models.clip import ClipEncoder

GRAMMAR_TERMS = ("grammar", "grammar_log")
TERMS = ("clip_s", *GRAMMAR_TERMS, "cider")
_FLOOR = 60.0  # M, nats: below the worst that policies said (95 % above -58)


@dataclass(frozen=True)
class RewardBatch:
    """What is rewarded: B images with K captions each."""

    captions: Sequence[Sequence[str]]  # (B, K)
    vectors: Tensor  # (B, D), unit length
    references: Sequence[Sequence[str]]  # (B, R)


class Reward:
    """A weighted sum of terms.

    Args:
        weights: term name to weight; names from `TERMS`.
        encoder: for `clip_s` and `grammar`.
        cider: for `cider`.

    Raises:
        ValueError: an unknown term, or a term whose model was not given.
    """

    def __init__(
        self, weights: Mapping[str, float], encoder: ClipEncoder, cider: CiderD | None = None
    ) -> None:
        unknown = set(weights) - set(TERMS)
        if unknown or not weights:
            raise ValueError(f"reward terms {sorted(weights)}: expected some of {', '.join(TERMS)}")
        grammar = [name for name in GRAMMAR_TERMS if name in weights]
        if grammar and encoder.head is None:
            raise ValueError(
                f"the reward asks for `{grammar[0]}`, but its encoder has no grammar head; use one "
                "that clip_reward has tuned with `grammar_loss` classification or both"
            )
        if "cider" in weights and cider is None:
            raise ValueError("the reward asks for `cider`, but no document frequencies were given")
        self.weights, self.encoder, self.cider = dict(weights), encoder, cider

    @torch.no_grad()
    def __call__(
        self, batch: RewardBatch, weights: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """Rewards (B, K) by `weights` (None: the reward's own), and the mean of each term."""
        weights = self.weights if weights is None else weights
        B, K = len(batch.captions), len(batch.captions[0])
        flat = [caption for image in batch.captions for caption in image]
        scores = {n: score.view(B, K) for n, score in self._terms(flat, batch, K).items()}
        total = torch.stack([weights[name] * scores[name] for name in self.weights]).sum(0)
        return total, {name: float(scores[name].mean()) for name in self.weights}

    def _terms(self, flat: list[str], batch: RewardBatch, K: int) -> dict[str, Tensor]:
        """Each term of every caption, (B * K,)."""
        terms: dict[str, Tensor] = {}
        if self.cider is not None and "cider" in self.weights:
            references = [refs for refs in batch.references for _ in range(K)]
            terms["cider"] = torch.from_numpy(self.cider.scores(flat, references)).float()
        distinct = sorted(set(flat))
        index = {caption: i for i, caption in enumerate(distinct)}
        back = torch.tensor([index[caption] for caption in flat])  # (distinct, ..) -> (B * K, ..)
        if set(GRAMMAR_TERMS) & set(self.weights):
            log_g = self.encoder.grammar_log_scores(distinct)[back]  # one pass for both
            terms |= {"grammar": log_g.exp(), "grammar_log": 1 + log_g.clamp(min=-_FLOOR) / _FLOOR}
        if "clip_s" in self.weights:
            text_features = self.encoder.encode_texts(distinct)[back]
            terms["clip_s"] = clip_s(batch.vectors.repeat_interleave(K, 0), text_features)
        return terms
