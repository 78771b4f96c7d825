"""Contrastive training of the multi-modal encoder: from scratch, from a pretrained one, or not.

With `image_trainable` off this is locked-image tuning (Zhai et al. 2022): features of what is
frozen are computed once and only what follows them learns. A pretrained encoder with `epochs: 0` is
used as it is. Fine-tuning on negatives lives in `clip_reward`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finecap.config import ClipConfig
from finecap.data.records import Record
from finecap.data.tokenizer import UNK, WordTokenizer
from finecap.data.transforms import pixel_table
from finecap.log import Log
from finecap.losses import contrastive_loss, sigmoid_loss, word_loss, word_targets
from finecap.metrics.retrieval import ranks, recall_at_k
from finecap.models import towers
from finecap.models.clip import ClipEncoder
from finecap.models.pretrained import load_pretrained
from finecap.training.loop import Loop, Schedule, parameter_groups

_MAX_TARGET_TOKENS = 128  # of all texts of one image together


@dataclass(frozen=True)
class _Batch:
    """B images, as pixels or as frozen trunk features, and the index of one text each."""

    rows: np.ndarray  # (B,)
    texts: list[str]


def texts_of(record: Record, source: str, references: Sequence[int] = ()) -> list[str]:
    """The texts an encoder learns from: the long one, or the references."""
    if source == "alt_text":
        if record.alt_text is None:
            raise ValueError(
                f"{record.image}: no `alt_text`, which `text: alt_text` trains on; "
                "set `text: captions` for data without it"
            )
        return [record.alt_text]
    if not references:
        return list(record.captions)
    if max(references) >= len(record.captions):
        raise ValueError(
            f"{record.image}: has {len(record.captions)} references, but `references` asks for "
            f"number {max(references)} (from 0)"
        )
    return [record.captions[i] for i in references]


def matching_loss(encoder: ClipEncoder, image_features: Tensor, text_features: Tensor) -> Tensor:
    """The loss of matching rows (B, D) that this model is trained by: softmax's or sigmoid's."""
    scale, bias = encoder.logit_scale, encoder.logit_bias
    if bias is None:
        return contrastive_loss(image_features, text_features, scale)
    return sigmoid_loss(image_features, text_features, scale, bias)


def train_clip(
    folder: Path,
    records: Sequence[Record],
    config: ClipConfig,
    destination: Path,
    log: Log,
) -> dict[str, float]:
    """Train an encoder on the train images of `config.part` and write it into `destination`.

    Args:
        folder: data folder that records' image paths are relative to.
        records: validated records.
        config: architecture and training.
        destination: empty folder.
        log: progress.

    Returns:
        The last step's metrics, and `val_t2i_r1` on one text per val image.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    train = [r for r in records if r.split == "train" and config.part in {"", r.part}]
    val = [r for r in records if r.split == "val"]
    encoder = _start(train, config, log)
    seen = [*train, *val] if config.epochs else val
    size, path = encoder.config.image_size, destination / "pixels.npy"
    pixels = pixel_table(folder, seen, size, path, log, encoder.resizing)
    images = _Images(encoder, pixels, log)
    metrics, steps = _learn(encoder, images, train, log) if config.epochs else ({}, 0)
    metrics["val_t2i_r1"] = _val_recall(encoder.eval(), images, len(seen) - len(val), val)
    log("val", steps, val_t2i_r1=metrics["val_t2i_r1"])
    encoder.save(destination)
    _remove_pixels(destination)
    return metrics


def _start(train: Sequence[Record], config: ClipConfig, log: Log) -> ClipEncoder:
    """The encoder before its first step: pretrained, or random with the train texts' words."""
    if config.architecture is not None:
        return load_pretrained(config, log)
    vocabulary = [t for r in train for t in (*r.captions, *([r.alt_text] if r.alt_text else []))]
    tokenizer = WordTokenizer.build([*vocabulary, config.prompt], config.min_word_count)
    encoder = ClipEncoder(config, tokenizer)
    _load_trunk(encoder)
    return encoder


def _learn(
    encoder: ClipEncoder, images: "_Images", train: Sequence[Record], log: Log
) -> tuple[dict[str, float], int]:
    """Take all steps; returns the last one's metrics, and how many there were."""
    config = encoder.config
    names_words = config.image_trainable and config.word_loss_weight and not config.architecture
    words = _Words(encoder, train) if names_words else None
    groups = parameter_groups(encoder, config.weight_decay)
    groups += parameter_groups(words, 0.0) if words else []
    encoder.train()
    if words:
        _learn_words(words, images, groups, config, log)
    schedule = _schedule(config, config.epochs, config.batch_size, len(train))
    loop = Loop(groups, schedule, log, bf16=config.bf16)

    def objective(batch: _Batch) -> tuple[Tensor, dict[str, float]]:
        seen = images.forward(batch.rows)  # (B, P, C), (B, D)
        tokens = drop_words(encoder.tokenize(batch.texts), config.word_dropout)
        text_features = encoder.text_features(tokens)  # (B, D)
        contrast = matching_loss(encoder, seen.features, text_features)
        if words is None:
            return contrast, {}
        named = word_loss(words(seen.grid), words.targets[batch.rows])
        return contrast + config.word_loss_weight * named, {"contrastive": contrast.item()}

    return loop.run(objective, _batches(train, config, schedule.steps)), loop.step_count


def drop_words(tokens: Tensor, share: float) -> Tensor:
    """Token ids (N, T) with `share` of the words at random as <unk>; special tokens stay."""
    if not share:
        return tokens
    dropped = (torch.rand(tokens.shape) < share) & (tokens > UNK)
    return tokens.masked_fill(dropped, UNK)


class _Words(nn.Module):
    """Predicts the words of an image's texts from the mean of its grid; gone after training."""

    def __init__(self, encoder: ClipEncoder, train: Sequence[Record]) -> None:
        super().__init__()
        tokenizer, config = encoder.tokenizer, encoder.config
        texts = [" ".join(texts_of(r, config.text, config.references)) for r in train]
        ids = torch.from_numpy(tokenizer.encode_batch(texts, _MAX_TARGET_TOKENS))
        self.targets = word_targets(ids, len(tokenizer), UNK + 1)  # (N, V)
        C = towers.grid_channels(encoder.model, encoder.config.image_size)
        self.norm, self.project = nn.LayerNorm(C), nn.Linear(C, len(tokenizer))

    def forward(self, grid: Tensor) -> Tensor:
        """Logits of the words: (B, P, C) -> (B, V)."""
        return self.project(self.norm(grid.float().mean(1)))


class _Images:
    """Image features of table rows, through the whole tower or from what is frozen of it."""

    def __init__(self, encoder: ClipEncoder, pixels: np.ndarray, log: Log) -> None:
        self.encoder, self.pixels = encoder, pixels
        self.trunk: Tensor | None = None  # (N, C)
        self.vectors: Tensor | None = None  # (N, D)
        if encoder.config.image_trainable:
            return
        encoder.eval()
        visual = cast(Any, encoder.model).visual
        if encoder.architecture is not None:
            visual.requires_grad_(False)
            self.vectors = self._frozen(lambda seen: encoder.image_forward(seen).features, log)
        elif not hasattr(visual, "trunk"):
            raise ValueError("`image_trainable: false` needs `image_tower: timm` with a checkpoint")
        else:
            # `freeze_bn_stats` would drop the activations of timm's BatchNormAct2d. Statistics
            # stay as they are anyway: the trunk runs once, in eval mode.
            visual.lock(freeze_bn_stats=False)
            trunk = visual.trunk
            self.trunk = self._frozen(lambda x: trunk.forward_head(trunk.forward_features(x)), log)

    def forward(self, rows: np.ndarray) -> towers.ImageOutput:
        """Grid (B, P, C; of a frozen tower one cell, its features) and unit vectors (B, D)."""
        if self.vectors is not None:
            features = self.vectors[rows]
            return towers.ImageOutput(features[:, None], features)
        if self.trunk is not None:
            pooled = self.trunk[rows]
            head = cast(Any, self.encoder.model).visual.head
            dropout = self.encoder.config.feature_dropout
            pooled = F.dropout(pooled, dropout, training=head.training)
            return towers.ImageOutput(pooled[:, None], F.normalize(head(pooled).float(), dim=-1))
        pixel_values = self.encoder.pixel_values(np.asarray(self.pixels[rows]))
        return self.encoder.image_forward(
            pixel_values.contiguous(memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def _frozen(self, tower: Callable[[Tensor], Tensor], log: Log) -> Tensor:
        """What a frozen tower gives for every image, (N, ...)."""
        seen: list[Tensor] = []
        size = self.encoder.images_at_once
        for start in range(0, len(self.pixels), size):
            rows = np.asarray(self.pixels[start : start + size])
            seen.append(tower(self.encoder.pixel_values(rows)))
            if start // size % 250 == 0:
                log(f"frozen image tower {start}/{len(self.pixels)}")
        return torch.cat(seen)


def _load_trunk(encoder: ClipEncoder) -> None:
    """Give a timm image tower its weights; a frozen tower without any is refused."""
    config = encoder.config
    if config.timm_checkpoint:
        towers.load_trunk(encoder.model, Path(config.timm_checkpoint))
    elif not config.image_trainable:
        raise ValueError(
            "a frozen image tower needs `timm_checkpoint`: random weights learn nothing"
        )


def _learn_words(
    words: _Words, images: _Images, groups: list[dict[str, Any]], config: ClipConfig, log: Log
) -> None:
    """Let the image tower name what it sees before texts are encoded: half the cost of an epoch."""
    N = len(words.targets)
    schedule = _schedule(config, config.word_epochs, config.word_batch_size, N)
    loop = Loop(groups, schedule, log, bf16=config.bf16)
    generator = np.random.default_rng(config.seed)

    def objective(rows: np.ndarray) -> tuple[Tensor, dict[str, float]]:
        return word_loss(words(images.forward(rows).grid), words.targets[rows]), {}

    for _ in range(config.word_epochs):
        order = generator.permutation(N)[
            : schedule.steps // config.word_epochs * config.word_batch_size
        ]
        loop.run(objective, np.split(order, len(order) // config.word_batch_size))


def _schedule(config: ClipConfig, epochs: int, batch_size: int, n_train: int) -> Schedule:
    """Steps and warm-up of `epochs` passes, last incomplete batch left out."""
    per_epoch = n_train // batch_size
    if not per_epoch:
        raise ValueError(
            f"{n_train} train images of part {config.part!r}, fewer than one batch of "
            f"{batch_size}; lower `batch_size` or add images"
        )
    steps = per_epoch * epochs
    return Schedule(config.lr, steps, max(1, round(steps * config.warmup_share)))


def _batches(train: Sequence[Record], config: ClipConfig, steps: int) -> Iterator[_Batch]:
    """`steps` batches; every epoch a new seeded order and another text of each image."""
    generator = np.random.default_rng(config.seed)
    order = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        if len(order) < config.batch_size:
            order = generator.permutation(len(train))
        rows, order = order[: config.batch_size], order[config.batch_size :]
        texts = [texts_of(train[row], config.text, config.references) for row in rows]
        picks = generator.integers(0, 1 << 30, len(rows))
        yield _Batch(rows, [own[pick % len(own)] for own, pick in zip(texts, picks, strict=True)])


@torch.no_grad()
def _val_recall(encoder: ClipEncoder, images: _Images, first: int, val: Sequence[Record]) -> float:
    """Text-to-image R@1 of the first text it learns from of each val image, among all of them."""
    if not val:
        raise ValueError("no val images: expected some rows with split `val`")
    source, references = encoder.config.text, encoder.config.references
    text_features = encoder.encode_texts([texts_of(r, source, references)[0] for r in val])
    rows = np.arange(first, first + len(val))
    parts = [images.forward(rows[i : i + 256]).features for i in range(0, len(rows), 256)]
    return float(recall_at_k(ranks(text_features, torch.cat(parts)), 1).mean())


def _remove_pixels(destination: Path) -> None:
    """The decoded pixels served this training alone."""
    for leftover in destination.glob("pixels.npy*"):
        leftover.unlink()
