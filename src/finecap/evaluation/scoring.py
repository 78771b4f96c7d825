"""The metrics of one split, each with its interval: which function scores what, and over what.

A `ScoreSheet` collects them; one function per question fills it. All intervals of one sheet
resample the same images. What is not here: the formulas (`metrics/`), drawing captions and reading
models (`evaluate`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from finecap.config import EvaluationConfig
from finecap.data.records import Facts, Record
from finecap.data.scenes.grammar import is_grammatical
from finecap.evaluation.bootstrap import Array, Interval, Statistic, corpus_interval, interval
from finecap.evaluation.results import Absent, Metric, not_computed, not_defined
from finecap.metrics import clipscore, finegrained, fluency, ngram, retrieval
from finecap.metrics.ptb import tokenise
from finecap.models.clip import ClipEncoder

CUTOFFS = (1, 5, 10)
"""k of R@k."""

GRAMMATICAL_FROM = 0.5
"""A grammar head's score from which a caption counts as grammatical."""


class ScoreSheet:
    """Metrics of N images as they are found, and the per-image values behind the means."""

    def __init__(self, n: int, config: EvaluationConfig) -> None:
        """An empty sheet for `n` images."""
        self.n = n
        self.metrics: dict[str, Metric] = {}
        self.per_image: dict[str, Array] = {}
        self._confidence = config.confidence
        self._resamples, self._seed = config.resamples, config.seed

    def mean(self, name: str, values: Array) -> None:
        """Enter a metric that is the mean of per-image `values` (N,)."""
        self.per_image[name] = values
        found = interval(
            values, resamples=self._resamples, confidence=self._confidence, seed=self._seed
        )
        self.metrics[name] = _metric(found)

    def corpus(self, name: str, statistic: Statistic, n: int | None = None) -> None:
        """Enter a metric of the whole corpus, resting on `n` of its images (all by default)."""
        found = corpus_interval(
            statistic,
            self.n,
            resamples=self._resamples,
            confidence=self._confidence,
            seed=self._seed,
        )
        self.metrics[name] = _metric(found if n is None else replace(found, n=n))

    def share(self, name: str, scored: finegrained.FineGrained, source: str) -> None:
        """Enter a ratio of sums of counts, `source` being its name in `scored`."""
        above = scored.numerators[source].astype(np.float64)
        below = scored.denominators[source].astype(np.float64)
        if not below.any():
            self.absent(name, not_defined(scored.reason(source)))
            return
        self.corpus(name, lambda rows: _ratio(rows @ above, rows @ below), int((below > 0).sum()))

    def count(self, name: str, words: Sequence[Sequence[str]]) -> None:
        """Enter the number of distinct words, with a jackknife interval.

        A bootstrap resample leaves a third of the images out, so its count lies far below the
        split's own and would be no interval of it (Efron & Tibshirani 1993, chapter 11).
        """
        occurrences = Counter(word for caption in words for word in set(caption))
        own = np.array([sum(occurrences[w] == 1 for w in set(caption)) for caption in words])
        spread = np.sqrt((len(own) - 1) / len(own) * ((own - own.mean()) ** 2).sum())
        margin = float(spread) * NormalDist().inv_cdf((1 + self._confidence) / 2)
        value = float(len(occurrences))
        self.metrics[name] = {
            "value": value,
            "ci_low": max(0.0, value - margin),
            "ci_high": value + margin,
            "n": self.n,
        }

    def absent(self, name: str, metric: Absent) -> None:
        """Enter a metric without a value, with the reason."""
        self.metrics[name] = metric


def score_references(sheet: ScoreSheet, records: Sequence[Record], captions: Sequence[str]) -> None:
    """Likeness to the references, as coco-caption computes it."""
    references = {record.image: record.captions for record in records}
    candidates = {r.image: caption for r, caption in zip(records, captions, strict=True)}
    statistics = ngram.bleu_statistics(references, candidates)
    for order in range(4):
        sheet.corpus(f"bleu_{order + 1}", lambda rows, o=order: statistics.scores(rows)[:, o])
    for name, values in ngram.per_image(references, candidates).items():
        sheet.mean(name, values)
    sheet.absent("meteor", not_computed("needs Java METEOR"))
    sheet.absent("spice", not_computed("needs Java SPICE and its models"))


def score_retrieval(
    sheet: ScoreSheet, prefix: str, text_features: Tensor, image_features: Tensor
) -> None:
    """CLIP-S and text-to-image R@k by one encoder; `prefix` is "" for the base, else "judge_".

    Args:
        sheet: to fill.
        prefix: of the metrics' names.
        text_features: (N, D), of the captions.
        image_features: (N, D), of their images, which are also the whole gallery.
    """
    clip_s = clipscore.clip_s(image_features, text_features)
    sheet.mean(f"{prefix}clip_s", clip_s.double().numpy())
    found = retrieval.ranks(text_features, image_features)
    for k in CUTOFFS:
        sheet.mean(f"{prefix}t2i_r{k}", retrieval.recall_at_k(found, k).numpy())
    sheet.per_image[f"{prefix}t2i_rank"] = found.double().numpy()


def score_ref_clip_s(
    sheet: ScoreSheet,
    records: Sequence[Record],
    text_features: Tensor,
    image_features: Tensor,
    encoder: ClipEncoder,
) -> None:
    """RefCLIP-S by the base encoder; references are encoded with the prompt, as its authors do."""
    flat = [caption for record in records for caption in record.captions]
    features, mask = _padded(encode_distinct(encoder, flat), [len(r.captions) for r in records])
    scores = clipscore.ref_clip_s(image_features, text_features, features, mask)
    sheet.mean("ref_clip_s", scores.double().numpy())


def score_fluency(sheet: ScoreSheet, captions: Sequence[str]) -> None:
    """What the captions alone show: repetition, cut-off endings, length, vocabulary."""
    sheet.mean("repetition_rate", fluency.repeats(captions))
    sheet.mean("bad_ending_rate", fluency.ends_badly(captions))
    sheet.mean("mean_length", fluency.lengths(captions))
    sheet.count("vocabulary", [tokenise(caption) for caption in captions])


def score_grammar_head(
    sheet: ScoreSheet, captions: Sequence[str], head: ClipEncoder | None
) -> None:
    """Share of captions that a grammar head, which no reward used, takes for grammatical."""
    if head is None:
        reason = "no grammar head that no reward used was given"
        sheet.absent("grammar_head_rate", not_computed(reason))
        return
    distinct, back = np.unique(np.array(captions, dtype=object), return_inverse=True)
    scores = head.grammar_scores([str(caption) for caption in distinct])[torch.tensor(back)]
    sheet.mean("grammar_head_rate", (scores >= GRAMMATICAL_FROM).double().numpy())


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


def encode_distinct(encoder: ClipEncoder, texts: Sequence[str]) -> Tensor:
    """Unit vectors (N, D) of texts, each distinct one encoded once."""
    distinct, back = np.unique(np.array(texts, dtype=object), return_inverse=True)
    features = encoder.encode_texts([str(text) for text in distinct])
    return features[torch.tensor(back)]  # (distinct, D) -> (N, D)


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


def _metric(found: Interval) -> Metric:
    return {
        "value": found.value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.n,
    }


def _ratio(above: Array, below: Array) -> Array:
    """Above / below; NaN where a resample drew no image with a count."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _padded(features: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Consecutive rows as (N, R, D) with a mask (N, R), R the largest count."""
    mask = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    padded = features.new_zeros((*mask.shape, features.shape[1]))
    padded[mask] = features
    return padded, mask
