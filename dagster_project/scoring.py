"""The work of an evaluation, shared by `evaluation/*` and by scoring an old champion again."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dagster_project.artifacts import Artifact
from dagster_project.shown import records_of
from dagster_project.stages import Work
from finecap.config import EvaluationConfig
from finecap.log import Log

SPLITS = ("val", "test")


class Parts(NamedTuple):
    """What every captioner is scored with."""

    dataset: Artifact
    validated_dataset: Artifact
    base_clip: Artifact
    judge_clip: Artifact
    judge_grammar: Artifact
    image_features: Artifact


def evaluating(captioner: Path, parts: Parts, chosen: EvaluationConfig, cache: Path) -> Work:
    """Scores of both splits as `val/<metric>` and `test/<metric>`, the names that MLflow shows.

    Args:
        captioner: folder of the captioner.
        parts: what it is scored with.
        chosen: how to score.
        cache: folder for the judge's image vectors, which are the same for every captioner.
    """

    def work(folder: Path, log: Log) -> Mapping[str, float]:
        from finecap.evaluation.evaluate import evaluate

        records = records_of(parts.validated_dataset.path)
        cache.mkdir(parents=True, exist_ok=True)
        found = evaluate(
            captioner,
            parts.image_features.path,
            parts.dataset.path,
            records,
            parts.base_clip.path,
            parts.judge_clip.path,
            chosen,
            folder,
            log,
            grammar_head=parts.judge_grammar.path,
            judge_cache=cache,
        )
        return {f"{split}/{name}": v for split in SPLITS for name, v in found.values(split).items()}

    return work
