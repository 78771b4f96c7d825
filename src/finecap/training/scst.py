"""Self-critical sequence training of a captioner with any reward of `finecap.rewards`.

Each step encodes the images once, draws K captions of each without gradient on cached keys and
values (a greedy row beside them where it is the baseline), rewards them, and scores them in one
teacher-forced pass. Drawing and scoring both run in eval mode: dropout never favours greedy or
samples, and the policy that is scored is the policy that spoke.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from finecap.config import ScstConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.losses import (
    kl_to_reference,
    leave_one_out_baseline,
    self_critical_loss,
    through_eos,
    token_log_probs,
)
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.clip import load_encoder
from finecap.models.compiled import CompiledCaptioner
from finecap.models.decoding import decode, to_captions
from finecap.models.device import best_device, moved
from finecap.models.features import Features, open_features
from finecap.rewards import Ingredients, Reward, RewardBatch, images_of
from finecap.training.batches import SeededRows
from finecap.training.checkpoint import Checkpoints
from finecap.training.encoder_from_reward import EncoderFromReward
from finecap.training.loop import Loop, Schedule, parameter_groups, scaled_groups
from finecap.training.mle import train_and_val
from finecap.training.processes import ALONE, Processes
from finecap.training.selection import Best
from finecap.training.val_reward import ValReward

_PART = 3  # samples per image that are scored at once


@dataclass(frozen=True)
class ScstBatch:
    """B images by their feature rows, with their references and the numbers that samples draw."""

    positions: np.ndarray  # (B,)
    references: Sequence[Sequence[str]]  # (B, R)
    uniforms: Tensor  # (B, K, T) in (0, 1]

    def __len__(self) -> int:
        """B."""
        return len(self.positions)

    @property
    def weight(self) -> float:
        """Images: the loss is a mean over them."""
        return float(len(self))

    def part(self, rows: slice) -> "ScstBatch":
        """Some of its images."""
        return ScstBatch(self.positions[rows], self.references[rows], self.uniforms[rows])


class SeenImages(Protocol):
    """Images by their rows, as features hold them."""

    def inputs_of(self, captioner: Captioner, positions: np.ndarray) -> Tensor:
        """What the captioner reads."""
        ...

    def vectors_of(self, positions: np.ndarray) -> Tensor:
        """Unit vectors (B, D)."""
        ...


def train_scst(
    mle: Path,
    features: Path,
    records: Sequence[Record],
    encoder: Path,
    config: ScstConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Tune the captioner in `mle` by the configured reward and write it into `destination`.

    The moment kept is the best on val by the arm's own reward among those within the fluency
    guards; the judge is never asked.

    Args:
        mle: folder of the maximum-likelihood captioner.
        features: folder of image features.
        records: validated records.
        encoder: folder of the encoder that rewards.
        config: reward terms, K, baseline, steps.
        destination: empty folder, which the first process writes into.
        log: progress; each process reports to its own.
        checkpoints: where the run's state is kept, so that it can go on after an end by force.
        processes: those that share each batch, and all looks at val.

    Returns:
        The last step's metrics, `val_reward` and `val_step` of the moment that is kept.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    seen = open_features(features)
    train, val = train_and_val(records, seen)
    device = best_device()
    policy = load_captioner(mle).to(device)
    reference = load_captioner(mle).to(device) if config.kl_weight else None
    shown = images_of(train, seen), images_of(val, seen)
    rewarding = load_encoder(encoder).to(device)
    reward = Reward(config.weights, Ingredients(rewarding, config, seen, *shown))
    groups = scaled_groups(policy.learning_parts(config.image_lr_scale), weight_decay=0.0)
    climbing = None
    if config.encoder_from_reward:
        climbing = EncoderFromReward(rewarding, config.weights)
        groups += parameter_groups(climbing.tower, 0.0, config.encoder_from_reward)
    loop = Loop(
        groups,
        Schedule(config.lr, config.steps, config.warmup_steps, cosine=False),
        log,
        grad_clip=config.grad_clip,
        bf16=config.bf16,
        log_every=5,
        accumulate=config.accumulate,
        processes=processes,
        diverged=checkpoints,
    )
    step = SelfCriticalStep(policy, reference, reward, seen, config, climbing)
    batches = _Batches(train, seen, config)
    best = Best(policy, checkpoints or destination, writes=processes.is_first)
    judged = reward
    if climbing is not None:  # a look later in the run is by the same encoder as one before
        first = load_encoder(encoder).to(device)
        judged = Reward(config.weights, Ingredients(first, config, seen, *shown))
    look = ValReward(policy, judged, seen, val, config, log, processes)

    metrics: dict[str, float] = {}
    resumable = Checkpoints(checkpoints, config.model_dump(mode="json"), log, processes)
    parts = {"policy": policy, "loop": loop, "batches": batches, "best": best}
    parts |= {} if climbing is None else {"text_tower": climbing.tower}
    with resumable.resuming(**parts) as start:
        if start == 0:
            look.offer(best, 0)
        while loop.step_count < config.steps and not _is_stale(best, config):
            weights = weights_at(loop.step_count, config)
            metrics = loop.step(partial(step.objective, weights=weights), batches.next())
            is_look = loop.step_count % config.val_every == 0 or loop.step_count == config.steps
            if is_look:
                look.offer(best, loop.step_count)
            resumable.after_step(loop.step_count, now=is_look)
    best.deliver(destination)
    processes.wait()
    kept = {"val_reward": best.value, "val_step": best.step}
    return metrics | kept | rewarding.about_weights | policy.about_weights


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
        reference: Captioner | None,
        reward: Reward,
        features: SeenImages,
        config: ScstConfig,
        climbing: EncoderFromReward | None = None,
    ) -> None:
        self.climbing = climbing
        self.policy, self.reference, self.reward = policy.eval(), reference, reward
        self.features, self.config = features, config
        self.speaker = CompiledCaptioner(self.policy) if config.compile_decoding else self.policy

    def objective(
        self, batch: ScstBatch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, float]]:
        """Self-critical loss of B images under the reward's `weights`, and what is worth seeing."""
        config, K, eos = self.config, self.config.samples_per_image, self.policy.tokenizer.eos
        with_greedy = config.baseline == "greedy"
        inputs = self.features.inputs_of(self.policy, batch.positions)  # (B, P, C)
        memory = self.policy.memory(inputs)  # with gradient; drawn from and scored on
        drawn = decode(
            self.speaker,
            memory,
            config.max_tokens,
            greedy=with_greedy,
            uniforms=moved(batch.uniforms, inputs.device),
            temperature=config.temperature,
        )  # (B, [greedy +] K, T)
        captions = to_captions(self.policy, drawn)
        vectors = self.features.vectors_of(batch.positions)
        said = RewardBatch(captions, vectors, batch.references, batch.positions)
        with torch.autocast(inputs.device.type, enabled=False):  # differences of rewards are small
            rewards, terms = self.reward(said, weights)
        sampled, sampled_reward = drawn[:, -K:], rewards[:, -K:]  # (B, K, T), (B, K)
        baseline = rewards[:, :1] if with_greedy else leave_one_out_baseline(sampled_reward)
        advantage = moved(sampled_reward - baseline, inputs.device)  # r(w^s) - b   (B, K)
        terms |= {
            "reward": sampled_reward.mean().item(),
            "tokens": through_eos(sampled, eos).sum(-1).float().mean().item(),
        }
        loss, kl = self._loss(inputs, memory, *shortest_first(sampled, advantage, eos))
        if config.kl_weight:
            loss = loss + config.kl_weight * kl
            terms["kl"] = kl.item()
        if self.climbing is not None:
            climbed = self.climbing.loss(said, weights)
            loss = loss + climbed
            terms["encoder_reward"] = -climbed.item()
        return loss, terms

    def _loss(
        self, inputs: Tensor, memory: Any, sampled: Tensor, advantage: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Self-critical loss, and KL to the reference (0 where it has no weight), both ().

        Captions, the shortest of each image first, are scored in parts of like length, each cut to
        its longest: padding is no work.
        """
        K, eos = sampled.shape[1], self.policy.tokenizer.eos
        loss, kl = torch.zeros((), device=inputs.device), torch.zeros((), device=inputs.device)
        anchor_memory = None
        if self.reference is not None:
            with torch.no_grad():
                anchor_memory = self.reference.memory(inputs)
        # Asked once for all parts, before a GPU has any of them to finish first.
        longest = through_eos(sampled, eos).sum(-1).amax(0).tolist()  # (K,), rising
        for start in range(0, K, _PART):
            rows = slice(start, start + _PART)
            part, share = sampled[:, rows, : longest[rows][-1]], advantage[:, rows]  # (B, k, t)
            mask, weight = through_eos(part, eos), part.shape[1] / K
            logits = next_token_logits(self.policy, memory, part)  # (B, k, t, V)
            log_probs = token_log_probs(_tempered(logits, self.config.temperature), part, mask)
            loss = loss + weight * self_critical_loss(log_probs, share, mask)
            if self.reference is not None:
                with torch.no_grad():
                    anchor = next_token_logits(self.reference, anchor_memory, part)
                kl = kl + weight * kl_to_reference(logits, anchor, mask)
        return loss, kl


def shortest_first(sampled: Tensor, advantage: Tensor, eos: int) -> tuple[Tensor, Tensor]:
    """The samples (B, K, T) of each image by length, and their advantage (B, K) with them."""
    order = through_eos(sampled, eos).sum(-1).argsort(-1)  # (B, K)
    return sampled.gather(1, order[..., None].expand_as(sampled)), advantage.gather(1, order)


def next_token_logits(captioner: Captioner, memory: Any, sampled: Tensor) -> Tensor:
    """Logits (B, K, T, V) of the sampled tokens' distribution."""
    first = torch.full_like(sampled[..., :1], captioner.tokenizer.bos)
    return captioner.teacher_forced(memory, torch.cat([first, sampled[..., :-1]], -1))


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    """The logits that samples were drawn from; at 1 no copy of them is made."""
    return logits if temperature == 1 else logits / temperature


def _is_stale(best: Best, config: ScstConfig) -> bool:
    """Whether val has not improved for as many looks as the run may wait."""
    return 0 < config.patience <= best.looks_since


class _Batches:
    """Seeded batches of train images, every image once before any comes again."""

    def __init__(self, train: Sequence[Record], features: Features, config: ScstConfig) -> None:
        self.train, self.config = train, config
        self.positions = features.positions([r.image for r in train])
        self.rows = SeededRows(len(train), config.batch_size, config.seed)
        self.state_dict, self.load_state_dict = self.rows.state_dict, self.rows.load_state_dict

    def next(self) -> ScstBatch:
        """The next batch, and the numbers that its samples draw."""
        chosen = self.rows.next()
        shape = (len(chosen), self.config.samples_per_image, self.config.max_tokens)
        uniforms = 1 - self.rows.generator.random(shape, dtype=np.float32)
        references = [self.train[i].captions for i in chosen]
        return ScstBatch(self.positions[chosen], references, torch.from_numpy(uniforms))
