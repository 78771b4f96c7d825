"""Making an encoder into a reward: its text tower and grammar head are tuned on negatives.

The image tower stays frozen, so image vectors are computed once. Three losses on captions, all
with the prompt: contrastive on (image, caption); binary cross-entropy of the grammar head on
captions (1) and corruptions (0); and, where attribute negatives are given, each image's own caption
against the same caption without the attribute.

Two things can be chosen. `grammar_loss`: corruptions train the head, are columns of the contrastive
loss, or both. `positive_threshold`: the head, trained first, selects which captions are positives;
a head on CLIP's own text tower (`joint`) learns only along with that tower, after which it is too
late to select, so the two are refused together.

Why a head by default: a contrastive loss hardly needs the order of words. On the drawn world (180
steps) columns raise the share of unseen corruptions that an image ranks below its caption from 0.66
to 0.76; the head refuses 0.997 of them.

What is not here: the head's training (`grammar_network`), what a step sees (`tuning_batches`), the
selection (`positives`).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor

from finecap.config import ClipRewardConfig
from finecap.data.pixels import Look, pixel_batches
from finecap.data.records import Record
from finecap.log import Log
from finecap.losses import own_negative_loss
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device
from finecap.training.batches import SeededDraws
from finecap.training.checkpoint import Checkpoints
from finecap.training.clip import in_parts, matching_loss, texts_of
from finecap.training.grammar_network import (
    grammar_accuracy,
    grammar_loss,
    head_groups,
    learn_grammar,
)
from finecap.training.loop import Loop, Schedule, parameter_groups
from finecap.training.positives import select_grammatical, with_corruptions
from finecap.training.tuning_batches import (
    TuningBatch,
    TuningMaterial,
    attribute_pairs,
    corruption_pairs,
    split,
)


def finetune(
    base: Path,
    folder: Path,
    records: Sequence[Record],
    grammar: pd.DataFrame,
    attributes: pd.DataFrame | None,
    config: ClipRewardConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
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
        checkpoints: where the run's state is kept, so that it can go on after an end by force.

    Returns:
        The last step's losses; `grammar_accuracy` (balanced, held-out captions and their
        corruptions) and the same per kind where a head is trained; `corruption_accuracy` where
        corruptions are columns; `attribute_accuracy` where attribute negatives are given;
        `positives_kept`, `positives_dropped` and `images_dropped` where a threshold selects.

    Raises:
        ValueError: no image, or no caption, of those that a loss needs is left.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    encoder = _with_head(load_encoder(base), config)
    part = encoder.config.part
    train = [r for r in records if r.split == "train" and part in {"", r.part}]
    if not train:
        raise ValueError(f"no train images of part {part!r}, which {base} was trained on")
    captions = [texts_of(r, encoder.config.text, encoder.config.references) for r in train]
    vectors = _image_vectors(encoder, folder, train, log)
    learn, held = split(grammar, config)
    pairs = None if attributes is None else attribute_pairs(attributes, train)
    learn_pairs, held_pairs = (None, None) if pairs is None else split(pairs, config)
    held_columns = corruption_pairs(held, captions) if _has_columns(config) else None
    heads, all_losses = (checkpoints and checkpoints / name for name in ("head", "all_losses"))
    encoder.train()
    if encoder.grammar_tower is not None:
        learn_grammar(encoder, learn, config, log, heads)
    material, counts = _material(encoder, captions, learn, learn_pairs, config, log)
    batches = SeededDraws(material.draw, config.seed)
    loop = Loop(_groups(encoder, config), _schedule(config), log, diverged=all_losses)
    objective = partial(_objective, encoder, vectors, config)
    resumable = Checkpoints(all_losses, config.model_dump(mode="json"), log)
    with resumable.resuming(encoder=encoder, loop=loop, batches=batches):
        metrics = loop.run(objective, batches.next, resumable)
    encoder.eval()
    metrics |= {} if encoder.head is None else grammar_accuracy(encoder, held)
    for name, unseen in (("corruption", held_columns), ("attribute", held_pairs)):
        if unseen is not None:
            metrics[f"{name}_accuracy"] = _preference(encoder, vectors, unseen)
    log("held out", loop.step_count, **{k: v for k, v in metrics.items() if "accuracy" in k})
    encoder.save(destination)
    return metrics | counts | encoder.about_weights


def _with_head(encoder: ClipEncoder, config: ClipRewardConfig) -> ClipEncoder:
    """The encoder with a new head, or with none where corruptions are columns alone."""
    # What the base may have brought along would score features that are about to change.
    encoder.head = encoder.grammar_tower = None
    if config.grammar_loss != "contrastive":
        encoder.add_head(config.hidden, config.grammar_tower)
    return encoder.to(best_device())


def _has_columns(config: ClipRewardConfig) -> bool:
    """Whether corruptions are columns of the contrastive loss."""
    return config.grammar_loss != "classification"


def _material(
    encoder: ClipEncoder,
    captions: Sequence[Sequence[str]],
    grammar: pd.DataFrame,
    pairs: pd.DataFrame | None,
    config: ClipRewardConfig,
    log: Log,
) -> tuple[TuningMaterial, dict[str, float]]:
    """What batches are drawn from, and the counts of the positives' selection, if there is one."""
    counts: dict[str, float] = {}
    if config.positive_threshold is not None:
        captions, counts = select_grammatical(encoder, captions, config.positive_threshold, log)
    corruptions: dict[str, list[str]] = {}
    if _has_columns(config):
        covered = corruption_pairs(grammar, captions)["row"].nunique()
        by_caption = grammar.groupby("caption")["negative"]
        corruptions = {str(caption): list(negatives) for caption, negatives in by_caption}
        captions = with_corruptions(captions, corruptions)
        log(f"corruptions as columns for {covered} of {len(captions)} images")
    table = None if encoder.head is None else grammar
    return TuningMaterial(captions, corruptions, table, pairs, config.batch_size), counts


def _objective(
    encoder: ClipEncoder, vectors: Tensor, config: ClipRewardConfig, batch: TuningBatch
) -> tuple[Tensor, dict[str, float]]:
    """The sum of the losses of one batch, and each of them."""
    tokens = encoder.tokenize(batch.captions + batch.columns)
    texts = in_parts(encoder.text_features, tokens, config.accumulate)  # (B + E, D)
    own, columns = texts.split([len(batch.captions), len(batch.columns)])
    extra = columns if batch.columns else None
    loss = matching_loss(encoder, vectors[batch.rows], own, extra)
    metrics = {"contrastive": loss.item()}
    if batch.correct:
        grammar = grammar_loss(encoder, batch.correct, batch.corrupted)
        loss = loss + config.grammar_weight * grammar
        metrics["grammar"] = grammar.item()
    if batch.kept:
        pair = encoder.text_features(encoder.tokenize(batch.kept + batch.robbed))  # (2A, D)
        kept, robbed = pair.chunk(2)
        images = vectors[batch.attribute_rows]  # (A, D)
        attribute = own_negative_loss(images, kept, robbed, encoder.logit_scale)
        loss = loss + config.attribute_weight * attribute
        metrics["attribute"] = attribute.item()
    return loss, metrics


@torch.no_grad()
def _preference(encoder: ClipEncoder, vectors: Tensor, pairs: pd.DataFrame) -> float:
    """Share of the pairs where the image prefers the caption to what was made of it."""
    images = vectors[pairs["row"].to_numpy(copy=True)].cpu()
    caption, negative = (encoder.encode_texts(list(pairs[c])) for c in ("caption", "negative"))
    return float(((images * (caption - negative)).sum(-1) > 0).float().mean())


def _schedule(config: ClipRewardConfig) -> Schedule:
    """Warm-up, then cosine."""
    return Schedule(config.lr, config.steps, max(1, round(config.steps * config.warmup_share)))


def _groups(encoder: ClipEncoder, config: ClipRewardConfig) -> list[dict[str, Any]]:
    """Optimiser groups: text tower at `lr`, head at `head_lr`; the image tower does not learn."""
    for parameter in cast(Any, encoder.model).visual.parameters():
        parameter.requires_grad = False
    groups = parameter_groups(encoder.model, config.weight_decay)
    return groups + head_groups(encoder, config, config.head_lr / config.lr)


@torch.no_grad()
def _image_vectors(encoder: ClipEncoder, folder: Path, train: Sequence[Record], log: Log) -> Tensor:
    """Unit vectors (N, D) of the train images."""
    look = Look(encoder.config.image_size, encoder.resizing)
    parts: list[Tensor] = []
    for number, [pixels] in enumerate(pixel_batches(folder, train, [look], 256)):
        parts.append(encoder.image_forward(encoder.pixel_values(pixels)).features)
        if number % 10 == 0:
            log(f"image vectors {number * 256}/{len(train)}")
    return torch.cat(parts)
