"""Making an encoder into a reward: its text tower and grammar head are tuned on negatives.

The image tower stays frozen, so image vectors are computed once. Three losses on captions, all
with the prompt: contrastive on (image, caption); binary cross-entropy of the grammar head on
captions (1) and corruptions (0); and, where attribute negatives are given, each image's own caption
against the same caption without the attribute.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.config import ClipRewardConfig
from finecap.data.records import Record
from finecap.data.transforms import pixel_table
from finecap.log import Log
from finecap.losses import own_negative_loss
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.training.clip import matching_loss, texts_of
from finecap.training.loop import Loop, Schedule, parameter_groups


@dataclass(frozen=True)
class _Batch:
    """One step's material: image rows with a caption each, and the negatives of both kinds."""

    rows: np.ndarray  # (B,)
    captions: list[str]  # (B,)
    correct: list[str]  # (G,) captions of the grammar table
    corrupted: list[str]  # (G,) their corruptions
    attribute_rows: np.ndarray  # (A,) image of each attribute pair
    kept: list[str]  # (A,) captions that name the attribute
    robbed: list[str]  # (A,) the same without it, or with another value


def finetune(
    base: Path,
    folder: Path,
    records: Sequence[Record],
    grammar: pd.DataFrame,
    attributes: pd.DataFrame | None,
    config: ClipRewardConfig,
    destination: Path,
    log: Log,
) -> dict[str, float]:
    """Tune `base` on negatives and write the reward encoder into `destination`.

    Args:
        base: folder of the contrastive encoder.
        folder: data folder.
        records: validated records.
        grammar: caption, negative, kind.
        attributes: image, caption, negative, attribute, kind; or None.
        config: training.
        destination: empty folder.
        log: progress.

    Returns:
        `grammar_accuracy` (balanced, held-out captions and their corruptions), the same per kind,
        and `attribute_accuracy` where attribute negatives are given.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    encoder = load_encoder(base)
    encoder.add_head(config.hidden, config.grammar_tower)
    part = encoder.config.part
    train = [r for r in records if r.split == "train" and part in {"", r.part}]
    if not train:
        raise ValueError(f"no train images of part {part!r}, which {base} was trained on")
    vectors = _image_vectors(encoder, folder, train, destination, log)
    learn_grammar, held_grammar = _split(grammar, config)
    pairs = None if attributes is None else _pairs_of(attributes, train)
    learn_pairs, held_pairs = (None, None) if pairs is None else _split(pairs, config)
    steps = config.steps
    schedule = Schedule(config.lr, steps, max(1, round(steps * config.warmup_share)))
    loop = Loop(_groups(encoder, config), schedule, log)
    encoder.train()
    if config.grammar_tower == "recurrent":
        _learn_grammar(encoder, learn_grammar, config, log)
    batches = _batches(train, encoder, learn_grammar, learn_pairs, config, steps)
    metrics = loop.run(lambda batch: _objective(encoder, vectors, config, batch), batches)
    encoder.eval()
    metrics |= grammar_accuracy(encoder, held_grammar)
    if held_pairs is not None:
        metrics["attribute_accuracy"] = _attribute_accuracy(encoder, vectors, held_pairs)
    log("held out", loop.step_count, **{k: v for k, v in metrics.items() if "accuracy" in k})
    encoder.save(destination)
    return metrics


def _objective(
    encoder: ClipEncoder, vectors: Tensor, config: ClipRewardConfig, batch: _Batch
) -> tuple[Tensor, dict[str, float]]:
    """The sum of the losses of one batch, and each of them."""
    text_features = encoder.text_features(encoder.tokenize(batch.captions))  # (B, D)
    contrast = matching_loss(encoder, vectors[batch.rows], text_features)
    grammar_loss = _grammar_loss(encoder, batch.correct, batch.corrupted)
    loss = contrast + config.grammar_weight * grammar_loss
    metrics = {"contrastive": contrast.item(), "grammar": grammar_loss.item()}
    if batch.kept:
        own = encoder.text_features(encoder.tokenize(batch.kept + batch.robbed))  # (2A, D)
        kept, robbed = own.chunk(2)
        images = vectors[batch.attribute_rows]  # (A, D)
        attribute = own_negative_loss(images, kept, robbed, encoder.logit_scale)
        loss = loss + config.attribute_weight * attribute
        metrics["attribute"] = attribute.item()
    return loss, metrics


def _grammar_loss(encoder: ClipEncoder, correct: list[str], corrupted: list[str]) -> Tensor:
    """Binary cross-entropy of the head on captions (1) and corruptions (0), (G,) each."""
    g = encoder.grammar_logits(encoder.tokenize(correct + corrupted))  # (2G,)
    labels = (torch.arange(len(g)) < len(correct)).float()
    return F.binary_cross_entropy_with_logits(g, labels)


def _learn_grammar(
    encoder: ClipEncoder, table: pd.DataFrame, config: ClipRewardConfig, log: Log
) -> None:
    """Train a recurrent tower and its head alone: a third of the cost of a step of all losses."""
    schedule = Schedule(config.head_lr, config.grammar_steps, 30)
    loop = Loop(_head_groups(encoder, config), schedule, log, log_every=50)
    generator = np.random.default_rng(config.seed)
    correct, corrupted = list(table["caption"]), list(table["negative"])

    def objective(chosen: np.ndarray) -> tuple[Tensor, dict[str, float]]:
        texts = [correct[i] for i in chosen], [corrupted[i] for i in chosen]
        return _grammar_loss(encoder, *texts), {}

    size = config.batch_size
    draws = (generator.integers(0, len(correct), size) for _ in range(config.grammar_steps))
    loop.run(objective, draws)


@torch.no_grad()
def grammar_accuracy(encoder: ClipEncoder, table: pd.DataFrame) -> dict[str, float]:
    """Accuracy of g > 0.5 on the table's captions and corruptions, both classes weighing the same.

    Returns:
        `grammar_accuracy`, `grammar_accuracy_correct`, and one `grammar_accuracy_<kind>` each.
    """
    correct = encoder.grammar_scores(sorted(set(table["caption"]))).numpy() > 0.5  # noqa: PLR2004
    refused = encoder.grammar_scores(list(table["negative"])).numpy() <= 0.5  # noqa: PLR2004
    by_kind = pd.Series(refused).groupby(table["kind"].to_numpy()).mean()
    balanced = (float(correct.mean()) + float(refused.mean())) / 2
    kinds = {f"grammar_accuracy_{kind}": float(value) for kind, value in by_kind.items()}
    return {
        "grammar_accuracy": balanced,
        "grammar_accuracy_correct": float(correct.mean()),
        **kinds,
    }


@torch.no_grad()
def _attribute_accuracy(encoder: ClipEncoder, vectors: Tensor, pairs: pd.DataFrame) -> float:
    """Share of held-out pairs where the image prefers the caption that names the attribute."""
    images = vectors[pairs["row"].to_numpy(copy=True)]
    kept, robbed = (encoder.encode_texts(list(pairs[c])) for c in ("caption", "negative"))
    return float(((images * (kept - robbed)).sum(-1) > 0).float().mean())


def _groups(encoder: ClipEncoder, config: ClipRewardConfig) -> list[dict[str, Any]]:
    """Optimiser groups: text tower at `lr`, head at `head_lr`; the image tower does not learn."""
    for parameter in cast(Any, encoder.model).visual.parameters():
        parameter.requires_grad = False
    groups = parameter_groups(encoder.model, config.weight_decay)
    return groups + _head_groups(encoder, config, config.head_lr / config.lr)


def _head_groups(
    encoder: ClipEncoder, config: ClipRewardConfig, scale: float = 1.0
) -> list[dict[str, Any]]:
    """Optimiser groups of the head and of its own tower, where it has one."""
    parts = [part for part in (encoder.grammar_tower, encoder.head) if part is not None]
    return [group for p in parts for group in parameter_groups(p, config.weight_decay, scale)]


@torch.no_grad()
def _image_vectors(
    encoder: ClipEncoder, folder: Path, train: Sequence[Record], destination: Path, log: Log
) -> Tensor:
    """Unit vectors (N, D) of the train images."""
    size = encoder.config.image_size
    path = destination / "pixels.npy"
    pixels = pixel_table(folder, train, size, path, log, encoder.resizing)
    parts = [
        encoder.image_forward(encoder.pixel_values(np.asarray(pixels[i : i + 256]))).features
        for i in range(0, len(pixels), 256)
    ]
    for leftover in destination.glob("pixels.npy*"):
        leftover.unlink()
    return torch.cat(parts)


def _split(table: pd.DataFrame, config: ClipRewardConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and rows held out, by caption, so that no caption is on both sides.

    Raises:
        ValueError: one side is empty.
    """
    captions = np.array(sorted(set(table["caption"])))
    generator = np.random.default_rng(config.seed)
    held = set(captions[generator.random(len(captions)) < config.val_share])
    is_held = table["caption"].isin(held)
    if is_held.all() or not is_held.any():
        raise ValueError(
            f"{is_held.sum()} of {len(table)} negatives held out at `val_share` "
            f"{config.val_share}, expected some on both sides; give more captions or change it"
        )
    return table[~is_held].reset_index(drop=True), table[is_held].reset_index(drop=True)


def _pairs_of(attributes: pd.DataFrame, train: Sequence[Record]) -> pd.DataFrame:
    """Attribute pairs of the train images, with the image's row number."""
    rows = {record.image: row for row, record in enumerate(train)}
    table = attributes[attributes["image"].isin(rows)]
    return table.assign(row=table["image"].map(rows)).reset_index(drop=True)


def _batches(
    train: Sequence[Record],
    encoder: ClipEncoder,
    grammar: pd.DataFrame,
    pairs: pd.DataFrame | None,
    config: ClipRewardConfig,
    steps: int,
) -> Iterator[_Batch]:
    """Seeded batches: images, grammar pairs and attribute pairs each drawn on their own."""
    generator = np.random.default_rng(config.seed)
    size, source = config.batch_size, encoder.config
    correct, corrupted = list(grammar["caption"]), list(grammar["negative"])
    for _ in range(steps):
        rows = generator.choice(len(train), min(size, len(train)), replace=False)
        texts = [texts_of(train[row], source.text, source.references) for row in rows]
        captions = [own[generator.integers(len(own))] for own in texts]
        chosen = generator.integers(0, len(correct), size)
        at = (
            np.empty(0, dtype=np.int64)
            if pairs is None
            else generator.integers(0, len(pairs), size)
        )
        yield _Batch(
            rows,
            captions,
            [correct[i] for i in chosen],
            [corrupted[i] for i in chosen],
            np.empty(0, dtype=np.int64) if pairs is None else pairs["row"].to_numpy()[at],
            [] if pairs is None else list(pairs["caption"].iloc[at]),
            [] if pairs is None else list(pairs["negative"].iloc[at]),
        )
