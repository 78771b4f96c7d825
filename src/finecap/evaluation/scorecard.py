"""Scores of captions in a file: what can be said of them without images or models.

Likeness to references where some are given, FineCapEval where its annotations are, and fluency
always, each with its interval. What needs an encoder, or a data folder with `facts`, is `evaluate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from finecap.config import EvaluationConfig
from finecap.data.finecapeval import Annotations, FineCapEvalError, image_key
from finecap.data.records import Record
from finecap.evaluation import definitions
from finecap.evaluation.bootstrap import Array
from finecap.evaluation.results import EvaluationError, Metric, not_computed, not_defined
from finecap.evaluation.scoring import score_fluency, score_references
from finecap.evaluation.sheet import ScoreSheet, ratio
from finecap.metrics import finecapeval

PREFIX = "finecapeval_"
Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Metrics of captions, and the images they rest on."""

    images: tuple[str, ...]  # N, those scored
    metrics: Mapping[str, Metric]
    per_image: Mapping[str, Array]  # (N,) of each metric that is a mean over images


def score_captions(
    captions: Mapping[str, str],
    references: Mapping[str, Sequence[str]] | None,
    annotations: Annotations | None,
    config: EvaluationConfig,
) -> Scorecard:
    """Every metric that can be had of captions alone, of references, of annotations.

    With annotations, their images are scored, and their captions are the references unless others
    are given. With references alone, the images that have captions are, as coco-caption does.

    Args:
        captions: by image, one each.
        references: by image, at least one each; may hold more images.
        annotations: FineCapEval's, or None.
        config: resamples, confidence and seed of the intervals; whether Java programs are asked.

    Raises:
        EvaluationError: a scored image has no reference.
        FineCapEvalError: an annotated image has no caption, or two images have one key.
    """
    scored = captions
    if annotations is not None:
        keyed = _by_key(captions)
        finecapeval.check(annotations, keyed)
        scored = {image: keyed[image] for image in annotations}
        references = _captions_of(annotations) if references is None else _by_key(references)
    sheet = ScoreSheet(len(scored), config)
    said = list(scored.values())
    if references is None:
        _absent(sheet, definitions.REFERENCES, "no references were given")
    else:
        score_references(sheet, _records(scored, references), said, config)
    if annotations is None:
        _absent(sheet, definitions.FINECAPEVAL, "no FineCapEval annotations were given")
    else:
        _score_finecapeval(sheet, annotations, scored)
    score_fluency(sheet, said)
    return Scorecard(tuple(scored), sheet.metrics, sheet.per_image)


def _by_key(said: Mapping[str, Said]) -> dict[str, Said]:
    """What is said by image, by the keys that annotations have."""
    keyed: dict[str, Said] = {}
    for image, own in said.items():
        key = image_key(image)
        if key in keyed:
            raise FineCapEvalError(
                f"two images are called {key}: with FineCapEval, ids are matched up to their first "
                "dot; rename one"
            )
        keyed[key] = own
    return keyed


def _captions_of(annotations: Annotations) -> dict[str, list[str]]:
    """What people wrote of each annotated image: of complete rows where there are, as published."""
    found: dict[str, list[str]] = {}
    for image, rows in annotations.items():
        complete = [row for row in rows if row.is_complete]
        found[image] = [row.caption for row in complete or rows if row.caption is not None]
    return found


def _records(scored: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> list[Record]:
    missing = [image for image in scored if not references.get(image)]
    if missing:
        raise EvaluationError(
            f"{len(missing)} of {len(scored)} scored images have no reference, first {missing[0]}; "
            "give references of all, by the same ids"
        )
    return [Record(image, "test", tuple(references[image])) for image in scored]


def _score_finecapeval(
    sheet: ScoreSheet, annotations: Annotations, captions: Mapping[str, str]
) -> None:
    """As published, and by whole words."""
    for category, values in finecapeval.published(annotations, captions).items():
        name = f"{PREFIX}{category}_published"
        if np.isnan(values).all():
            sheet.absent(name, not_computed("no row of the annotations has all its cells"))
        else:
            sheet.mean(name, values)
    counts = finecapeval.score(annotations, captions)
    for name in counts.numerators:
        sheet.share(f"{PREFIX}{name}", counts, name)
    _score_f1(sheet, counts)


def _score_f1(sheet: ScoreSheet, counts: finecapeval.PhraseCounts) -> None:
    """The harmonic mean of recall and precision of all categories together."""
    parts = ("recall", "precision")
    absent = [part for part in parts if counts.value(part) is None]
    if absent:
        sheet.absent(f"{PREFIX}f1", not_defined(counts.reason(absent[0])))
        return
    pairs = [(counts.numerators[p] * 1.0, counts.denominators[p] * 1.0) for p in parts]

    def f1(rows: Array) -> Array:
        recall, precision = (ratio(rows @ above, rows @ below) for above, below in pairs)
        total = recall + precision
        return np.divide(2 * recall * precision, total, out=total * 0, where=total > 0)

    sheet.corpus(f"{PREFIX}f1", f1)


def _absent(sheet: ScoreSheet, group: str, why: str) -> None:
    for name in definitions.names(group):
        sheet.absent(name, not_computed(why))
