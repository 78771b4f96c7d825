"""Contrastive training of the multi-modal encoder: from scratch, from a pretrained one, or not.

With `image_trainable` off this is locked-image tuning (Zhai et al. 2022): features of what is
frozen are computed once and only what follows them learns. A pretrained encoder with `epochs: 0` is
used as it is. Fine-tuning on negatives lives in `clip_reward`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from finecap.config import ClipConfig
from finecap.data.pixels import Look, PixelRows, Pixels, pixel_table
from finecap.data.records import Record
from finecap.data.tokenizer import UNK, WordTokenizer
from finecap.log import Log
from finecap.losses import contrastive_loss, sigmoid_loss, word_loss
from finecap.metrics.retrieval import ranks, recall_at_k
from finecap.models import towers
from finecap.models.clip import ClipEncoder
from finecap.models.device import best_device
from finecap.models.pretrained import load_pretrained
from finecap.training.batches import SeededRows
from finecap.training.checkpoint import Checkpoints
from finecap.training.loop import Loop, Schedule, parameter_groups
from finecap.training.tower_images import NamedWords, TowerImages


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


def matching_loss(
    encoder: ClipEncoder,
    image_features: Tensor,
    text_features: Tensor,
    extra_text_features: Tensor | None = None,
) -> Tensor:
    """The loss of matching rows (B, D) that this model is trained by: softmax's or sigmoid's.

    Texts (E, D) that match no image are hard negatives in either.
    """
    scale, bias = encoder.logit_scale, encoder.logit_bias
    if bias is None:
        return contrastive_loss(image_features, text_features, scale, extra_text_features)
    return sigmoid_loss(image_features, text_features, scale, bias, extra_text_features)


def train_clip(
    folder: Path,
    records: Sequence[Record],
    config: ClipConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
) -> dict[str, float]:
    """Train an encoder on the train images of `config.part` and write it into `destination`.

    Args:
        folder: data folder that records' image paths are relative to.
        records: validated records.
        config: architecture and training.
        destination: empty folder.
        log: progress.
        checkpoints: where the run's state is kept, so that it can go on after an end by force.

    Returns:
        The last step's metrics, and `val_t2i_r1` on one text per val image.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    train = [r for r in records if r.split == "train" and config.part in {"", r.part}]
    val = [r for r in records if r.split == "val"]
    encoder = _start(train, config, log).to(best_device())
    seen = [*train, *val] if config.epochs else val
    images = TowerImages(encoder, _pixels(folder, seen, encoder, config, destination, log), log)
    metrics, steps = _learn(encoder, images, train, log, checkpoints) if config.epochs else ({}, 0)
    metrics["val_t2i_r1"] = _val_recall(encoder.eval(), images, len(seen) - len(val), val)
    log("val", steps, val_t2i_r1=metrics["val_t2i_r1"])
    encoder.save(destination)
    _remove_pixels(destination)
    return metrics | encoder.about_weights


def _pixels(
    folder: Path,
    seen: Sequence[Record],
    encoder: ClipEncoder,
    config: ClipConfig,
    destination: Path,
    log: Log,
) -> Pixels:
    """The images as the tower sees them, in a table or decoded anew at each step."""
    look = Look(encoder.config.image_size, encoder.resizing)
    if config.pixels == "stream":
        return PixelRows(folder, seen, look)
    return pixel_table(folder, seen, look.size, destination / "pixels.npy", log, look.resizing)


def _start(train: Sequence[Record], config: ClipConfig, log: Log) -> ClipEncoder:
    """The encoder before its first step: pretrained, or random with the train texts' words."""
    if config.architecture is not None:
        return load_pretrained(config, log)
    vocabulary = [t for r in train for t in (*r.captions, *([r.alt_text] if r.alt_text else []))]
    tokenizer = WordTokenizer.build([*vocabulary, config.prompt], config.min_word_count)
    encoder = ClipEncoder(config, tokenizer)
    _load_trunk(encoder)
    return encoder


@dataclass(frozen=True)
class _Phase:
    """Part of the training: what is drawn, and what is learned of it."""

    loop: Loop
    rows: SeededRows
    draw: Callable[[], Any]
    objective: Callable[[Any], tuple[Tensor, dict[str, float]]]


def _learn(
    encoder: ClipEncoder,
    images: TowerImages,
    train: Sequence[Record],
    log: Log,
    checkpoints: Path | None,
) -> tuple[dict[str, float], int]:
    """Take all steps; returns the last one's metrics, and how many there were."""
    config = encoder.config
    names_words = config.image_trainable and config.word_loss_weight and not config.architecture
    said = [" ".join(texts_of(r, config.text, config.references)) for r in train]
    words = NamedWords(encoder, said) if names_words else None
    groups = parameter_groups(encoder, config.weight_decay)
    groups += parameter_groups(words, 0.0) if words else []
    phases: dict[str, _Phase] = {}
    if words and config.word_epochs:
        schedule = _schedule(config, config.word_epochs, config.word_batch_size, len(train))
        loop = Loop(groups, schedule, log, bf16=config.bf16, diverged=checkpoints)
        phases["naming"] = _naming(words, images, loop, config)
    schedule = _schedule(config, config.epochs, config.batch_size, len(train))
    loop = Loop(groups, schedule, log, bf16=config.bf16, diverged=checkpoints)
    phases["contrast"] = _contrast(encoder, images, words, train, loop)
    parts: dict[str, Any] = {name: phase.loop for name, phase in phases.items()}
    parts |= {f"{name}_rows": phase.rows for name, phase in phases.items()}
    parts |= {"encoder": encoder} | ({"words": words} if words else {})

    metrics: dict[str, float] = {}
    encoder.train()
    resumable = Checkpoints(checkpoints, config.model_dump(mode="json"), log)
    with resumable.resuming(**parts):
        for phase in phases.values():
            while phase.loop.step_count < phase.loop.schedule.steps:
                metrics = phase.loop.step(phase.objective, phase.draw())
                resumable.after_step(sum(p.loop.step_count for p in phases.values()))
        resumable.after_step(sum(p.loop.step_count for p in phases.values()), now=True)
    return metrics, phases["contrast"].loop.step_count


def _naming(words: NamedWords, images: TowerImages, loop: Loop, config: ClipConfig) -> _Phase:
    """Let the image tower name what it sees before texts are encoded: half the cost of an epoch."""
    rows = SeededRows(len(words.targets), config.word_batch_size, config.seed)

    def objective(chosen: np.ndarray) -> tuple[Tensor, dict[str, float]]:
        return word_loss(words(images.forward(chosen).grid), words.targets[chosen]), {}

    return _Phase(loop, rows, rows.next, objective)


def _contrast(
    encoder: ClipEncoder,
    images: TowerImages,
    words: NamedWords | None,
    train: Sequence[Record],
    loop: Loop,
) -> _Phase:
    """Bring images and texts together; every epoch a new order and another text of each image."""
    config = encoder.config
    rows = SeededRows(len(train), config.batch_size, config.seed)

    def draw() -> _Batch:
        chosen = rows.next()
        texts = [texts_of(train[row], config.text, config.references) for row in chosen]
        picks = rows.generator.integers(0, 1 << 30, len(chosen))
        picked = [own[pick % len(own)] for own, pick in zip(texts, picks, strict=True)]
        return _Batch(chosen, picked)

    def objective(batch: _Batch) -> tuple[Tensor, dict[str, float]]:
        seen = images.forward(batch.rows)  # (B, P, C), (B, D)
        tokens = drop_words(encoder.tokenize(batch.texts), config.word_dropout)
        text_features = in_parts(encoder.text_features, tokens, config.accumulate)  # (B, D)
        contrast = matching_loss(encoder, seen.features, text_features)
        if words is None:
            return contrast, {}
        named = word_loss(words(seen.grid), words.targets[batch.rows])
        return contrast + config.word_loss_weight * named, {"contrastive": contrast.item()}

    return _Phase(loop, rows, draw, objective)


def in_parts(encode: Callable[[Tensor], Tensor], tokens: Tensor, parts: int) -> Tensor:
    """What `encode` gives for tokens (N, T), part by part, each part's activations made again.

    A contrastive loss needs all features at once, so that a batch cannot be taken in parts as other
    losses' can. Here memory is that of one part, time that of a second forward pass, and the
    gradient the same (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size").
    """
    if parts == 1:
        return encode(tokens)
    return torch.cat(
        [checkpoint(encode, part, use_reentrant=False) for part in tokens.chunk(parts)]
    )


def drop_words(tokens: Tensor, share: float) -> Tensor:
    """Token ids (N, T) with `share` of the words at random as <unk>; special tokens stay."""
    if not share:
        return tokens
    dropped = (torch.rand(tokens.shape) < share) & (tokens > UNK)
    return tokens.masked_fill(dropped, UNK)


def _load_trunk(encoder: ClipEncoder) -> None:
    """Give a timm image tower its weights; a frozen tower without any is refused."""
    config = encoder.config
    if config.timm_checkpoint:
        towers.load_trunk(encoder.model, Path(config.timm_checkpoint))
    elif not config.image_trainable:
        raise ValueError(
            "a frozen image tower needs `timm_checkpoint`: random weights learn nothing"
        )


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


@torch.no_grad()
def _val_recall(
    encoder: ClipEncoder, images: TowerImages, first: int, val: Sequence[Record]
) -> float:
    """Text-to-image R@1 of the first text it learns from of each val image, among all of them."""
    if not val:
        raise ValueError("no val images: expected some rows with split `val`")
    source, references = encoder.config.text, encoder.config.references
    text_features = encoder.encode_texts([texts_of(r, source, references)[0] for r in val])
    rows = np.arange(first, first + len(val))
    parts = [images.forward(rows[i : i + 256]).features for i in range(0, len(rows), 256)]
    return float(recall_at_k(ranks(text_features, torch.cat(parts).cpu()), 1).mean())


def _remove_pixels(destination: Path) -> None:
    """The decoded pixels served this training alone."""
    for leftover in destination.glob("pixels.npy*"):
        leftover.unlink()
