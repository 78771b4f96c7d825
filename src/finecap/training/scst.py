"""Self-critical sequence training of a captioner with any reward of `finecap.rewards`.

Each step draws K captions per image without gradient on cached keys and values (a greedy row beside
them where it is the baseline), rewards them, and scores them in one teacher-forced pass. Drawing
and scoring both run in eval mode: dropout never favours greedy or samples, and the policy that is
scored is the policy that spoke. The checkpoint kept is the best on val by the arm's own reward
among those within the fluency guard; the judge is never asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finecap.config import ScstConfig
from finecap.data.records import Record
from finecap.data.tokenizer import BOS, EOS
from finecap.log import Log
from finecap.losses import (
    kl_to_reference,
    leave_one_out_baseline,
    self_critical_loss,
    through_eos,
)
from finecap.metrics.cider import CiderD
from finecap.metrics.fluency import repetition_rate
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.clip import load_encoder
from finecap.models.decoding import decode, to_captions
from finecap.models.features import Features, open_features
from finecap.rewards import Reward, RewardBatch
from finecap.training.loop import Loop, Schedule, parameter_groups
from finecap.training.mle import greedy_captions, train_and_val

_PART = 3  # samples per image that are scored at once


@dataclass(frozen=True)
class _Batch:
    """B images by their feature rows, with their references."""

    positions: np.ndarray  # (B,)
    references: list[Sequence[str]]  # (B, R)


def train_scst(
    mle: Path,
    features: Path,
    records: Sequence[Record],
    encoder: Path,
    config: ScstConfig,
    destination: Path,
    log: Log,
) -> dict[str, float]:
    """Tune the captioner in `mle` by the configured reward and write it into `destination`.

    Args:
        mle: folder of the maximum-likelihood captioner.
        features: folder of image features.
        records: validated records.
        encoder: folder of the encoder that rewards.
        config: reward terms, K, baseline, steps.
        destination: empty folder.
        log: progress.

    Returns:
        The last step's metrics, `val_reward` and `val_step` of the checkpoint that is kept.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    seen = open_features(features)
    train, val = train_and_val(records, seen)
    policy, reference = load_captioner(mle), load_captioner(mle)
    reward = Reward(config.weights, load_encoder(encoder), CiderD([r.captions for r in train]))
    schedule = Schedule(config.lr, config.steps, config.warmup_steps, cosine=False)
    groups = parameter_groups(policy, weight_decay=0.0)  # type: ignore[arg-type]
    loop = Loop(groups, schedule, log, grad_clip=config.grad_clip, log_every=5)
    step = SelfCriticalStep(policy, reference, reward, seen, config)
    selection = Selection(policy, reward, seen, val, config)

    selection.look(0, destination, log)
    metrics: dict[str, float] = {}
    for batch in _batches(train, seen, config):
        weights = weights_at(loop.step_count, config)
        metrics = loop.step(partial(step.objective, weights=weights), batch)
        if loop.step_count % config.val_every == 0 or loop.step_count == config.steps:
            selection.look(loop.step_count, destination, log)
    return metrics | {"val_reward": selection.best, "val_step": selection.best_step}


def weights_at(step: int, config: ScstConfig) -> dict[str, float]:
    """The reward's weights at a step, counted from 0.

    A grammar term at full weight from the start keeps the policy from what it must first say badly:
    its first captions with a background are ungrammatical, and it never comes to say any. Growth is
    quadratic: slow while details are found, fast once they are to be put into sentences.
    """
    done = min(1.0, step / max(1, config.steps - 1)) ** 2
    start = config.weights | config.start_weights
    return {k: (1 - done) * start[k] + done * weight for k, weight in config.weights.items()}


class SelfCriticalStep:
    """The objective of one step, one symbol a line."""

    def __init__(
        self,
        policy: Captioner,
        reference: Captioner,
        reward: Reward,
        features: Features,
        config: ScstConfig,
    ) -> None:
        self.policy, self.reference, self.reward = policy.eval(), reference.eval(), reward
        self.features, self.config = features, config
        self.generator = torch.Generator().manual_seed(config.seed)

    def objective(
        self, batch: _Batch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, float]]:
        """Self-critical loss of B images under the reward's `weights`, and what is worth seeing."""
        config, K = self.config, self.config.samples_per_image
        with_greedy = config.baseline == "greedy"
        grid = self.features.grid_of(batch.positions)  # (B, P, C)
        drawn = decode(
            self.policy,
            grid,
            config.max_tokens,
            samples=K,
            greedy=with_greedy,
            temperature=config.temperature,
            generator=self.generator,
        )  # (B, [greedy +] K, T)
        captions = to_captions(self.policy, drawn)
        vectors = self.features.vectors_of(batch.positions)
        rewards, terms = self.reward(RewardBatch(captions, vectors, batch.references), weights)
        sampled, sampled_reward = drawn[:, -K:], rewards[:, -K:]  # (B, K, T), (B, K)
        baseline = rewards[:, :1] if with_greedy else leave_one_out_baseline(sampled_reward)
        advantage = sampled_reward - baseline  # r(w^s) - b   (B, K)
        loss, kl = self._loss(grid, *shortest_first(sampled, advantage))
        if config.kl_weight:
            loss = loss + config.kl_weight * kl
            terms["kl"] = kl.item()
        terms |= {
            "reward": sampled_reward.mean().item(),
            "length": through_eos(sampled, EOS).sum(-1).float().mean().item(),
        }
        return loss, terms

    def _loss(self, grid: Tensor, sampled: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor]:
        """Self-critical loss, and KL to the reference (0 where it has no weight), both ().

        Captions are scored in parts of like length, each cut to its longest: padding is no work.
        """
        K, words = sampled.shape[1], through_eos(sampled, EOS).sum()
        loss, kl = torch.zeros(()), torch.zeros(())
        for padded, share in zip(sampled.split(_PART, 1), advantage.split(_PART, 1), strict=True):
            part = padded[..., : int(through_eos(padded, EOS).sum(-1).max())]  # (B, k, t)
            mask = through_eos(part, EOS)
            logits = self._logits(self.policy, grid, part)  # (B, k, t, V)
            log_probs = (logits / self.config.temperature).log_softmax(-1)
            log_probs = log_probs.gather(-1, part[..., None]).squeeze(-1)  # (B, k, t)
            # PAD after the EOS has log p = -inf; it is masked, and 0 * -inf must not become NaN.
            log_probs = log_probs.masked_fill(~mask, 0.0)
            loss = loss + part.shape[1] / K * self_critical_loss(log_probs, share, mask)
            if self.config.kl_weight:
                with torch.no_grad():
                    anchor = self._logits(self.reference, grid, part)
                kl = kl + mask.sum() / words * kl_to_reference(logits, anchor, mask)
        return loss, kl

    def _logits(self, captioner: Captioner, grid: Tensor, sampled: Tensor) -> Tensor:
        """Logits (B, K, T, V) of the sampled tokens' distribution."""
        inputs = torch.cat([torch.full_like(sampled[..., :1], BOS), sampled[..., :-1]], -1)
        return captioner.teacher_forced(grid, inputs)


def shortest_first(sampled: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor]:
    """The samples (B, K, T) of each image by length, and their advantage (B, K) with them."""
    order = through_eos(sampled, EOS).sum(-1).argsort(-1)  # (B, K)
    return sampled.gather(1, order[..., None].expand_as(sampled)), advantage.gather(1, order)


class Selection:
    """Keeps the best checkpoint on val: the arm's own reward, guarded by repetition."""

    def __init__(
        self,
        policy: Captioner,
        reward: Reward,
        features: Features,
        val: Sequence[Record],
        config: ScstConfig,
    ) -> None:
        self.policy, self.reward, self.features, self.config = policy, reward, features, config
        self.val = list(val)[: config.val_images]
        self.best, self.best_step = float("-inf"), -1

    def look(self, step: int, destination: Path, log: Log) -> None:
        """Score val now; save when it is the best so far within the guard."""
        images = [r.image for r in self.val]
        captions = greedy_captions(self.policy, self.features, images, self.config.max_tokens)
        vectors = self.features.vectors_of(self.features.positions(images))
        batch = RewardBatch([[c] for c in captions], vectors, [r.captions for r in self.val])
        value = float(self.reward(batch)[0].mean())
        repetition = float(repetition_rate(captions))
        fluent = repetition <= self.config.max_repetition or step == 0
        if fluent and value > self.best:
            self.best, self.best_step = value, step
            self.policy.save(destination)
        log("val", step, val_reward=value, val_repetition=repetition, val_best=self.best)


def _batches(train: Sequence[Record], features: Features, config: ScstConfig) -> Iterator[_Batch]:
    """`steps` seeded batches, every image once before any comes again."""
    generator = np.random.default_rng(config.seed)
    positions = features.positions([r.image for r in train])
    size = min(config.batch_size, len(train))
    order = np.empty(0, dtype=np.int64)
    for _ in range(config.steps):
        if len(order) < size:
            order = generator.permutation(len(train))
        chosen, order = order[:size], order[size:]
        yield _Batch(positions[chosen], [train[i].captions for i in chosen])
