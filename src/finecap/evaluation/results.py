"""The form an evaluation takes: metrics with intervals, captions, and one row per image, on disk.

`evaluation.json` holds `{"val": {METRIC: ...}, "test": {...}}`, where a metric is either
`{"value", "ci_low", "ci_high", "n"}` or `{"value": null, "reason"}`: a score that could not be had
is never a zero. Beside the splits it says whether the data has `facts`, and by which `yardstick`
(images, references, judge) each split was scored, so that two evaluations are compared only when
they answer the same question. What is not here: computing any of it (`evaluate`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeGuard, cast

import pandas as pd

EVALUATION = "evaluation.json"
CAPTIONS = "captions.parquet"
PER_IMAGE = "per_image.parquet"
SCORED_SPLITS = ("val", "test")

NOT_DEFINED = "not defined on this data"
NOT_COMPUTED = "not computed"


class Measured(TypedDict):
    """A score, its bootstrap interval over images, and the number of images behind it."""

    value: float
    ci_low: float
    ci_high: float
    n: int


class Absent(TypedDict):
    """A score that could not be had, and why."""

    value: None
    reason: str


Metric = Measured | Absent


class EvaluationError(ValueError):
    """An evaluation that is missing, partial or does not fit what it is asked for."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything one captioner's evaluation says."""

    metrics: dict[str, dict[str, Metric]]  # by split, then by metric
    captions: pd.DataFrame  # image, split, caption
    per_image: pd.DataFrame  # image, split, and a column per metric that is a mean over images
    yardstick: dict[str, str]  # by split: digest of images, references and judge
    facts: bool  # whether the data says what is truly in its images

    def values(self, split: str) -> dict[str, float]:
        """The measured metrics of `split` alone, for trackers that take plain numbers."""
        return {k: m["value"] for k, m in self.metrics[split].items() if is_measured(m)}


def is_measured(metric: Metric) -> TypeGuard[Measured]:
    """Whether the metric has a value."""
    return metric["value"] is not None


def not_defined(why: str) -> Absent:
    """A metric that has no meaning on this data, e.g. a drawn world's grammar on photos."""
    return {"value": None, "reason": f"{NOT_DEFINED}: {why}"}


def not_computed(why: str) -> Absent:
    """A metric that has a meaning here, but that this evaluation could not compute."""
    return {"value": None, "reason": f"{NOT_COMPUTED}: {why}"}


def reason_absent(metric: Metric) -> str:
    """Why the metric has no value; empty where it has one."""
    return str(metric.get("reason", ""))


def is_undefined(metric: Metric) -> bool:
    """Whether the metric is absent because the data gives it no meaning."""
    return reason_absent(metric).startswith(NOT_DEFINED)


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write tables first and `evaluation.json` last: where that file is, the rest is whole."""
    _write_parquet(evaluation.captions, folder / CAPTIONS)
    _write_parquet(evaluation.per_image, folder / PER_IMAGE)
    about = {"facts": evaluation.facts, "yardstick": evaluation.yardstick}
    write_text(folder / EVALUATION, json.dumps({**evaluation.metrics, **about}, indent=1) + "\n")


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in `folder`.

    Raises:
        EvaluationError: it is missing, cut short, or lacks a split.
    """
    content = _read_json(folder / EVALUATION)
    missing = [key for key in (*SCORED_SPLITS, "facts", "yardstick") if key not in content]
    if missing:
        raise EvaluationError(
            f"{folder / EVALUATION}: partial evaluation, lacks {', '.join(missing)}; evaluate again"
        )
    for name in (CAPTIONS, PER_IMAGE):
        if not (folder / name).is_file():
            raise EvaluationError(f"{folder}: partial evaluation, lacks {name}; evaluate again")
    return Evaluation(
        {split: content[split] for split in SCORED_SPLITS},
        pd.read_parquet(folder / CAPTIONS),
        pd.read_parquet(folder / PER_IMAGE),
        content["yardstick"],
        content["facts"],
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    partial = path.with_name(f"{path.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def _read_json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise EvaluationError(
            f"{path} does not exist; expected a folder that an evaluation has finished"
        )
    try:
        content: object = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{path}: not JSON ({error}); evaluate again") from error
    if not isinstance(content, dict):
        raise EvaluationError(f"{path}: expected an object with val and test; evaluate again")
    return cast("dict[str, Any]", content)
