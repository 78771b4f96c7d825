"""Maximum likelihood: cross-entropy of the reference captions given what the captioner sees.

A captioner of two decoders (`models/bicaptioning.py`) also learns each caption from its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.config import MleConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.losses import through_eos
from finecap.metrics.cider import CiderD
from finecap.models.captioner import Captioner, Tokenizer
from finecap.models.captions import greedy_captions
from finecap.models.device import best_device
from finecap.models.families import build_captioner
from finecap.models.features import Features, open_features
from finecap.training.batches import SeededRows
from finecap.training.checkpoint import Checkpoints
from finecap.training.clip import texts_of
from finecap.training.loop import Loop, Schedule, scaled_groups
from finecap.training.processes import ALONE, Processes
from finecap.training.selection import Best


@dataclass(frozen=True)
class _Batch:
    """B images with R captions each, as token ids with BOS and EOS."""

    positions: np.ndarray  # (B,)
    ids: Tensor  # (B, R, T + 1)
    counts: Tensor  # (B, R, T) bool, True = the target counts

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def weight(self) -> float:
        """Words that count: the loss is a mean over them."""
        return float(self.counts.sum())

    def part(self, rows: slice) -> "_Batch":
        """Some of its images."""
        return _Batch(self.positions[rows], self.ids[rows], self.counts[rows])

    def to(self, device: torch.device) -> "_Batch":
        """The same where the captioner computes."""
        return _Batch(self.positions, self.ids.to(device), self.counts.to(device))

    def reversed(self, tokenizer: Tokenizer) -> "_Batch":
        """The same captions from their end."""
        ids = reversed_captions(self.ids, tokenizer.eos)
        return _Batch(self.positions, ids, targets_that_count(ids[..., 1:], tokenizer))


def train_mle(
    features: Path,
    records: Sequence[Record],
    config: MleConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
    processes: Processes = ALONE,
    encoder: Path | None = None,
) -> dict[str, float]:
    """Train a captioner on the train images that have features and write it into `destination`.

    Of all epochs the one with the best CIDEr-D on val is kept; a pretrained model is looked at
    before the first, and kept as it is if none is better.

    Args:
        features: folder of image features.
        records: validated records.
        config: architecture and training.
        destination: empty folder, which the first process writes into.
        log: progress; each process reports to its own.
        checkpoints: where the run's state is kept, so that it can go on after an end by force.
        processes: those that share each batch, and all looks at val.
        encoder: folder of the encoder that made the features, for captioners that copy its tower.

    Returns:
        The last step's metrics (none of 0 epochs) and `val_cider`.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    seen = open_features(features)
    train, val = train_and_val(records, seen)
    texts = [texts_of(r, config.text) for r in train]
    captioner = build_captioner(config, seen, [t for own in texts for t in own], encoder)
    captioner = captioner.to(best_device())
    if captioner.has_random_weights:
        log(f"RANDOM WEIGHTS in {config.timm_checkpoint or encoder}: what is said tells nothing")
    ids = [captioner.tokenizer.encode_batch(own, config.max_tokens + 1) for own in texts]
    batches = _Batches(captioner.tokenizer, seen.positions([r.image for r in train]), ids, config)
    steps = batches.per_epoch * config.epochs
    schedule = Schedule(config.lr, steps, max(1, round(steps * config.warmup_share)))
    groups = scaled_groups(captioner.learning_parts(config.image_lr_scale), config.weight_decay)
    loop = Loop(
        groups,
        schedule,
        log,
        bf16=config.bf16,
        accumulate=config.accumulate,
        processes=processes,
        diverged=checkpoints,
    )
    frequencies = CiderD([r.captions for r in train])
    best = Best(captioner, checkpoints or destination, writes=processes.is_first)

    def objective(batch: _Batch) -> tuple[Tensor, dict[str, float]]:
        memory = captioner.memory(seen.inputs_of(captioner, batch.positions))
        loss = _loss(captioner.teacher_forced, memory, batch, config)
        if not captioner.bicaptioning:
            return loss, {}
        from_its_end = batch.reversed(captioner.tokenizer)
        backward = _loss(captioner.teacher_forced_backward, memory, from_its_end, config)
        return loss + backward, {"backward_loss": backward.item()}  # VirTex, equation 1

    def look(epoch: int) -> None:
        limit = config.max_tokens
        cider = val_cider(captioner.eval(), seen, val, frequencies, limit, processes)
        log(f"epoch {epoch} of {config.epochs}", loop.step_count, val_cider=cider)
        best.offer(cider, loop.step_count)

    metrics: dict[str, float] = {}
    resumable = Checkpoints(checkpoints, config.model_dump(mode="json"), log, processes)
    with resumable.resuming(captioner=captioner, loop=loop, batches=batches, best=best) as start:
        if start == 0 and config.pretrained is not None:
            look(0)
        while loop.step_count < steps:
            captioner.train()
            metrics = loop.step(objective, batches.next().to(captioner.device))
            processes.average(captioner.learnt_statistics())
            is_epoch = loop.step_count % batches.per_epoch == 0
            if is_epoch:
                look(loop.step_count // batches.per_epoch)
            resumable.after_step(loop.step_count, now=is_epoch)
    best.deliver(destination)
    processes.wait()
    return metrics | {"val_cider": best.value} | captioner.about_weights


def train_and_val(
    records: Sequence[Record], features: Features
) -> tuple[list[Record], list[Record]]:
    """The train records that have features, and the val records.

    Raises:
        ValueError: one of the two is empty.
    """
    have = set(features.rows["image"])
    train = [r for r in records if r.split == "train" and r.image in have]
    val = [r for r in records if r.split == "val"]
    if not train or not val:
        raise ValueError(
            f"{len(train)} train images with features and {len(val)} val images, expected some of "
            "both; check `features.part` and the split column"
        )
    return train, val


def targets_that_count(targets: Tensor, tokenizer: Tokenizer) -> Tensor:
    """True for each target through the first EOS that is no unknown word; (..., T), bool."""
    unknown = getattr(tokenizer, "unk", None)
    counts = through_eos(targets, tokenizer.eos)
    return counts if unknown is None else counts & (targets != unknown)


def reversed_captions(ids: Tensor, eos: int) -> Tensor:
    """Each caption from its end: BOS w1 .. wn EOS PAD becomes BOS wn .. w1 EOS PAD.

    Args:
        ids: (..., T + 1), BOS first.
        eos: the id that ends a caption; one without it is all words.

    Returns:
        (..., T + 1).
    """
    words = through_eos(ids[..., 1:], eos) & (ids[..., 1:] != eos)
    last = words.sum(-1, keepdim=True)  # n, the place of wn
    place = torch.arange(ids.shape[-1], device=ids.device).expand_as(ids)
    is_word = (place >= 1) & (place <= last)
    return ids.gather(-1, torch.where(is_word, last + 1 - place, place))


def _loss(
    teacher_forced: Callable[[Any, Tensor], Tensor], memory: Any, batch: _Batch, config: MleConfig
) -> Tensor:
    """Cross-entropy of a batch's captions in one direction."""
    logits = teacher_forced(memory, batch.ids[..., :-1])  # (B, R, T, V)
    return cross_entropy(logits, batch.ids[..., 1:], batch.counts, config.label_smoothing)


def cross_entropy(
    logits: Tensor, targets: Tensor, counts: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Mean over the words that count: padding and unknown words do not.

    Args:
        logits: (..., T, V), -inf for tokens that may not be chosen.
        targets: (..., T).
        counts: (..., T) bool.
        label_smoothing: mass spread over the words that may be chosen.
    """
    log_probs = F.log_softmax(logits[counts].float(), -1)  # (N, V)
    own = -log_probs.gather(-1, targets[counts][:, None]).mean()
    if not label_smoothing:
        return own
    allowed = log_probs.isfinite()
    spread = -torch.where(allowed, log_probs, torch.zeros_like(log_probs)).sum(-1) / allowed.sum(-1)
    return (1 - label_smoothing) * own + label_smoothing * spread.mean()


def val_cider(
    captioner: Captioner,
    features: Features,
    val: Sequence[Record],
    frequencies: CiderD,
    max_tokens: int,
    processes: Processes = ALONE,
) -> float:
    """Mean CIDEr-D of greedy captions of `val`, document frequencies from train."""

    def captioned(images: Sequence[str]) -> list[str]:
        return greedy_captions(captioner, features, images, max_tokens)

    captions = processes.map(captioned, [r.image for r in val])
    return float(frequencies.scores(captions, [r.captions for r in val]).mean())


class _Batches:
    """Every image once an epoch, with its captions in another order each time."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        positions: np.ndarray,
        ids: list[np.ndarray],
        config: MleConfig,
    ) -> None:
        self.tokenizer, self.positions, self.ids = tokenizer, positions, ids
        self.rows = SeededRows(len(positions), config.batch_size, config.seed, keep_last=True)
        self.per_epoch = -(-len(positions) // config.batch_size)
        self.state_dict, self.load_state_dict = self.rows.state_dict, self.rows.load_state_dict

    def next(self) -> _Batch:
        """The next batch; rows are cut to its longest caption."""
        chosen, generator = self.rows.next(), self.rows.generator
        R = min(len(own) for own in self.ids)
        stacked = np.stack(
            [self.ids[i][generator.permutation(len(self.ids[i]))[:R]] for i in chosen]
        )
        ids = torch.from_numpy(stacked)  # (B, R, T + 1)
        longest = int(through_eos(ids[..., 1:], self.tokenizer.eos).sum(-1).max())
        ids = ids[..., : longest + 1]
        return _Batch(self.positions[chosen], ids, targets_that_count(ids[..., 1:], self.tokenizer))
