"""The encoder that rewards, learning from what it rewards: its text tower climbs R + lambda g too.

The policy's captions are one side of the contrast that the encoder was trained on and never saw.
Where `encoder_from_reward` is set, each step also moves the text tower up the mean reward of the
captions that were drawn; image tower, grammar head and the head's own tower stay. The reward then
is a moving one: what is chosen on val is judged by the encoder as it was at the start.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from finecap.metrics.clipscore import clip_s
from finecap.models import towers
from finecap.models.clip import ClipEncoder
from finecap.rewards import RewardBatch

DIFFERENTIABLE = ("clip_s", "grammar")
"""Terms that the encoder can climb; those that keep features of it would go stale."""


class EncoderFromReward:
    """The text tower's objective beside the policy's.

    Args:
        encoder: that rewards; all but its text tower is frozen here.
        weights: of the reward; terms other than `clip_s`, `grammar`, `grammar_log` and those that
            never ask the encoder are refused.

    Raises:
        ValueError: a term that cannot follow an encoder that moves.
    """

    def __init__(self, encoder: ClipEncoder, weights: Mapping[str, float]) -> None:
        stale = sorted(set(weights) & {"ref_clip_s", "ref_clip_s_scaled", "self_retrieval"})
        if stale or not set(weights) & set(DIFFERENTIABLE):
            raise ValueError(
                f"`encoder_from_reward` moves the encoder, and reward terms {sorted(weights)} "
                f"{'keep features of it' if stale else 'do not ask it'}; use it with "
                f"{' and '.join(DIFFERENTIABLE)}, or set it to 0"
            )
        self.encoder = encoder
        encoder.requires_grad_(False)
        self.tower: nn.Module = towers.text_tower(encoder.model)
        self.tower.requires_grad_(True)

    def loss(self, batch: RewardBatch, weights: Mapping[str, float]) -> Tensor:
        """-(mean of clip_s + lambda * g), (), with gradient into the text tower.

        Args:
            batch: the images and the captions that were drawn of them.
            weights: of the moment; lambda is `grammar`'s over `clip_s`'s.
        """
        K = len(batch.captions[0])
        texts = [caption for image in batch.captions for caption in image]
        tokens = self.encoder.tokenize(texts)
        climbed = tokens.new_zeros((), dtype=batch.vectors.dtype)
        if weights.get("clip_s"):
            images = batch.vectors.to(tokens.device).repeat_interleave(K, 0)  # (B * K, D)
            scores = clip_s(images, self.encoder.text_features(tokens))
            climbed = climbed + weights["clip_s"] * scores.mean()
        if weights.get("grammar"):
            g = F.sigmoid(self.encoder.grammar_logits(tokens))
            climbed = climbed + weights["grammar"] * g.mean()
        return -climbed
