"""Maximum likelihood: cross-entropy of the reference captions given the cached grid features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.config import MleConfig
from finecap.data.records import Record
from finecap.data.tokenizer import PAD, UNK, WordTokenizer
from finecap.log import Log
from finecap.metrics.cider import CiderD
from finecap.models.captioner import Captioner
from finecap.models.decoding import caption_grids
from finecap.models.features import Features, open_features
from finecap.models.transformer import TransformerCaptioner, TransformerShape
from finecap.training.clip import texts_of
from finecap.training.loop import Loop, Schedule, parameter_groups


@dataclass(frozen=True)
class _Batch:
    """B images with R captions each, as token ids with BOS and EOS."""

    positions: np.ndarray  # (B,)
    ids: Tensor  # (B, R, T + 1)


def train_mle(
    features: Path,
    records: Sequence[Record],
    config: MleConfig,
    destination: Path,
    log: Log,
) -> dict[str, float]:
    """Train a captioner on the train images that have features and write it into `destination`.

    Of all epochs the one with the best CIDEr-D on val is kept.

    Returns:
        The last step's metrics and `val_cider`.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    seen = open_features(features)
    train, val = train_and_val(records, seen)
    texts = [texts_of(r, config.text) for r in train]
    tokenizer = WordTokenizer.build([t for own in texts for t in own], config.min_word_count)
    captioner = TransformerCaptioner(_shape(config, seen), tokenizer)
    per_epoch = -(-len(train) // config.batch_size)
    steps = per_epoch * config.epochs
    schedule = Schedule(config.lr, steps, max(1, round(steps * config.warmup_share)))
    groups = parameter_groups(captioner, config.weight_decay)
    loop = Loop(groups, schedule, log, bf16=config.bf16)

    def objective(batch: _Batch) -> tuple[Tensor, dict[str, float]]:
        inputs, targets = batch.ids[..., :-1], batch.ids[..., 1:]  # (B, R, T)
        logits = captioner.teacher_forced(seen.grid_of(batch.positions), inputs)  # (B, R, T, V)
        return cross_entropy(logits, targets, config.label_smoothing), {}

    ids = [tokenizer.encode_batch(own, config.max_tokens + 1) for own in texts]
    positions = seen.positions([r.image for r in train])
    frequencies = CiderD([r.captions for r in train])
    best, metrics = -1.0, {}
    generator = np.random.default_rng(config.seed)
    for epoch in range(config.epochs):
        captioner.train()
        metrics = loop.run(objective, _batches(positions, ids, config.batch_size, generator))
        captioner.eval()
        cider = val_cider(captioner, seen, val, frequencies, config.max_tokens)
        log(f"epoch {epoch + 1} of {config.epochs}", loop.step_count, val_cider=cider)
        if cider > best:
            best = cider
            captioner.save(destination)
    return metrics | {"val_cider": best}


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


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over the words that count: padding and unknown words do not.

    Args:
        logits: (..., T, V), -inf for tokens that may not be chosen.
        targets: (..., T).
        label_smoothing: mass spread over the words that may be chosen.
    """
    counts = (targets != PAD) & (targets != UNK)
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
) -> float:
    """Mean CIDEr-D of greedy captions of `val`, document frequencies from train."""
    captions = greedy_captions(captioner, features, [r.image for r in val], max_tokens)
    return float(frequencies.scores(captions, [r.captions for r in val]).mean())


def greedy_captions(
    captioner: Captioner, features: Features, images: Sequence[str], max_tokens: int
) -> list[str]:
    """Greedy captions of images, from their cached grid."""
    at = features.positions(images)
    captions: list[str] = []
    for start in range(0, len(at), 256):
        grid = features.grid_of(at[start : start + 256])
        captions += caption_grids(captioner, grid, max_tokens)
    return captions


def _shape(config: MleConfig, features: Features) -> TransformerShape:
    """The captioner's sizes for this config and this grid."""
    return TransformerShape(
        grid_channels=features.grid.shape[-1],
        width=config.width,
        heads=config.heads,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        dropout=config.dropout,
        max_tokens=config.max_tokens,
    )


def _batches(
    positions: np.ndarray, ids: list[np.ndarray], batch_size: int, generator: np.random.Generator
) -> Iterator[_Batch]:
    """One epoch in a seeded order; rows are cut to the longest caption of their batch."""
    R = min(len(own) for own in ids)
    order = generator.permutation(len(positions))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        stacked = np.stack([ids[i][generator.permutation(len(ids[i]))[:R]] for i in chosen])
        longest = int((stacked != PAD).sum(-1).max())
        yield _Batch(positions[chosen], torch.from_numpy(stacked[..., :longest]))
