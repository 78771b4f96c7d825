"""The metrics of one split, each with its interval: which function scores what, and over what.

One function per question fills a `ScoreSheet`. What is not here: the formulas (`metrics/`), the
intervals (`sheet`), drawing captions and reading models (`evaluate`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finecap.config import EvaluationConfig
from finecap.data.records import Facts, Record
from finecap.data.scenes.grammar import is_grammatical
from finecap.evaluation.bootstrap import Array, median
from finecap.evaluation.results import EvaluationError, not_computed, not_defined
from finecap.evaluation.sheet import ScoreSheet
from finecap.metrics import clipscore, finegrained, fluency, meteor, ngram, retrieval, spice
from finecap.metrics.java import UnavailableError
from finecap.metrics.ptb import tokenise

if TYPE_CHECKING:  # so that scoring a file of captions loads no model's library
    from finecap.models.clip import ClipEncoder
    from finecap.models.grammar import GrammarNetwork

CUTOFFS = (1, 5, 10)
"""k of R@k."""

GRAMMATICAL_FROM = 0.5
"""A grammar head's score from which a caption counts as grammatical."""

GRAMMAR_HEAD = ("grammar_head_rate", "grammar_head_rate_references")


def score_references(
    sheet: ScoreSheet, records: Sequence[Record], captions: Sequence[str], config: EvaluationConfig
) -> None:
    """Likeness to the references, as coco-caption computes it.

    Raises:
        EvaluationError: two records of one image.
    """
    references = {record.image: record.captions for record in records}
    if len(references) < len(records):
        (image, times), *_ = Counter(record.image for record in records).most_common(1)
        raise EvaluationError(f"expected one record per image; came {times} of image {image!r}")
    candidates = {r.image: caption for r, caption in zip(records, captions, strict=True)}
    corpus = ngram.tokenised(references, candidates)
    found = ngram.measure(corpus)
    for order in range(4):
        sheet.corpus(f"bleu_{order + 1}", lambda rows, o=order: found.bleu.scores(rows)[:, o])
    for name, values in found.per_image.items():
        sheet.mean(name, values)
    _score_by_java(sheet, corpus, config)


def _score_by_java(sheet: ScoreSheet, corpus: ngram.Tokenised, config: EvaluationConfig) -> None:
    """METEOR and SPICE, each with its value or with why it has none."""

    def enter_meteor() -> None:
        # Of the corpus' counts, like BLEU: an image has a METEOR too, but it is not their mean.
        sheet.corpus("meteor", meteor.statistics(*corpus, config.java_timeout_s).scores)

    def enter_spice() -> None:
        sheet.mean("spice", spice.spice(*corpus, config.java_timeout_s))

    for name, enter in (("meteor", enter_meteor), ("spice", enter_spice)):
        if not config.java_metrics:
            sheet.absent(
                name, not_computed("switched off, `java_metrics` of `evaluation` is false")
            )
            continue
        try:
            enter()
        except UnavailableError as error:
            sheet.absent(name, not_computed(str(error)))


def score_retrieval(
    sheet: ScoreSheet, prefix: str, text_features: Tensor, image_features: Tensor
) -> None:
    """CLIP-S, and R@k and median rank in both directions, by one encoder.

    Args:
        sheet: to fill.
        prefix: of the metrics' names: "" for the base encoder, "judge_" for the judge.
        text_features: (N, D), of the captions; queries of text to image, gallery of image to text.
        image_features: (N, D), of their images.
    """
    clip_s = clipscore.clip_s(image_features, text_features)
    sheet.mean(f"{prefix}clip_s", clip_s.double().numpy())
    directions = {"t2i": (text_features, image_features), "i2t": (image_features, text_features)}
    for direction, (queries, gallery) in directions.items():
        found = retrieval.ranks(queries, gallery)
        for k in CUTOFFS:
            sheet.mean(f"{prefix}{direction}_r{k}", retrieval.recall_at_k(found, k).numpy())
        rank = found.mean().numpy()
        sheet.corpus(f"{prefix}{direction}_median_rank", median(rank))
        sheet.per_image[f"{prefix}{direction}_rank"] = rank


def score_ref_clip_s(
    sheet: ScoreSheet,
    prefix: str,
    records: Sequence[Record],
    text_features: Tensor,
    image_features: Tensor,
    reference_features: Tensor,
) -> None:
    """RefCLIP-S by one encoder; references are encoded with the prompt, as its authors do.

    Args:
        sheet: to fill.
        prefix: as `score_retrieval`.
        records: N, with their references.
        text_features: (N, D), of the captions.
        image_features: (N, D), of the images.
        reference_features: of all references, record after record: (sum of R, D).
    """
    features, mask = _padded(reference_features, [len(r.captions) for r in records])
    scores = clipscore.ref_clip_s(image_features, text_features, features, mask)
    sheet.mean(f"{prefix}ref_clip_s", scores.double().numpy())


def score_fluency(sheet: ScoreSheet, captions: Sequence[str]) -> None:
    """What the captions alone show: repetition, cut-off endings, length, variety."""
    sheet.mean("repetition_rate", fluency.repeats(captions))
    sheet.mean("stutter_rate", fluency.stutters(captions))
    sheet.mean("repeated_3gram_rate", fluency.repeats_ngram(captions, 3))
    sheet.mean("bad_ending_rate", fluency.ends_badly(captions))
    sheet.mean("mean_length", fluency.lengths(captions))
    words = [tokenise(caption) for caption in captions]
    sheet.count("vocabulary", words)
    sheet.distinct("distinct_1", words, 1)
    sheet.distinct("distinct_2", words, 2)


def score_grammar_head(
    sheet: ScoreSheet,
    records: Sequence[Record],
    captions: Sequence[str],
    head: "GrammarNetwork | None",
) -> None:
    """Share of captions that a network which no reward used takes for grammatical.

    Beside it the same of the references, as much as it grants people: what a rate is to be read by.
    """
    if head is None:
        reason = not_computed("no grammar network that no reward used was given")
        for name in GRAMMAR_HEAD:
            sheet.absent(name, reason)
        return
    references = [caption for record in records for caption in record.captions]
    accepted = _accepted(head, [*captions, *references])
    sheet.mean(GRAMMAR_HEAD[0], accepted[: len(captions)])
    counts = [len(record.captions) for record in records]
    starts = np.cumsum([0, *counts[:-1]])
    by_image = np.add.reduceat(accepted[len(captions) :], starts) / np.array(counts)
    sheet.mean(GRAMMAR_HEAD[1], by_image)


def score_facts(
    sheet: ScoreSheet, records: Sequence[Record], captions: Sequence[str], seed: int
) -> None:
    """What the captions claim against what is so, beside chance, and the drawn world's grammar."""
    facts = {r.image: r.facts for r in records if r.facts is not None}
    if len(facts) < len(records):
        _without_facts(sheet, len(facts))
        return
    sheet.mean("grammatical_rate", np.array([float(is_grammatical(c)) for c in captions]))
    candidates = {r.image: caption for r, caption in zip(records, captions, strict=True)}
    scored = finegrained.score(candidates, facts)
    for name in finegrained.NAMES:
        sheet.share(name, scored, name)
    _score_chance(sheet, candidates, facts, seed)


def encode_distinct(encoder: "ClipEncoder", texts: Sequence[str]) -> Tensor:
    """Unit vectors (N, D) of texts, each distinct one encoded once."""
    distinct, back = _distinct(texts)
    return encoder.encode_texts(distinct)[torch.tensor(back)]  # (distinct, D) -> (N, D)


def _accepted(head: "GrammarNetwork", texts: Sequence[str]) -> Array:
    """(N,): 1.0 where the head takes a text for grammatical, each distinct one scored once."""
    distinct, back = _distinct(texts)
    scores = head.grammar_scores(distinct)[torch.tensor(back)]
    return (scores >= GRAMMATICAL_FROM).double().numpy()


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """The distinct texts, sorted, and which of them each is, (N,)."""
    distinct, back = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return [str(text) for text in distinct], back


def _score_chance(
    sheet: ScoreSheet, candidates: Mapping[str, str], facts: Mapping[str, Facts], seed: int
) -> None:
    """The same with captions permuted over images: what saying the frequent thing earns."""
    names = [name for name in finegrained.NAMES if name.endswith(("_recall", "_precision"))]
    if len(candidates) == 1:
        for name in names:
            sheet.absent(f"{name}_chance", not_defined("one caption has no other image to go to"))
        return
    permuted = finegrained.chance(candidates, facts, seed)
    for name in names:
        sheet.share(f"{name}_chance", permuted, name)


def _without_facts(sheet: ScoreSheet, known: int) -> None:
    """No ground truth, no fine-grained score: by nature, or because some of it is missing."""
    metric = not_defined("its records have no `facts`")
    if known:
        metric = not_computed(f"only {known} of {sheet.n} images have `facts`")
    for name in ("grammatical_rate", *finegrained.NAMES):
        sheet.absent(name, metric)


def _padded(features: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Consecutive rows as (N, R, D) with a mask (N, R), R the largest count."""
    mask = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    padded = features.new_zeros((*mask.shape, features.shape[1]))
    padded[mask] = features
    return padded, mask
