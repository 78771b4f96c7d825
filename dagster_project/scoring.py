"""The work of an evaluation, shared by `evaluation/*` and by scoring an old champion again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dagster_project.artifacts import Artifact
from dagster_project.shown import records_of
from dagster_project.stages import Work
from finecap.config import EvaluationConfig
from finecap.log import Log

SPLITS = ("val", "test")


def evaluating(
    captioner: Path, parts: Sequence[Artifact], chosen: EvaluationConfig, cache: Path
) -> Work:
    """Scores of both splits as `val/<metric>` and `test/<metric>`, the names that MLflow shows.

    Args:
        captioner: folder of the captioner.
        parts: data set, validated data set, base encoder, judge, features; in this order.
        chosen: how to score.
        cache: folder for the judge's image vectors, which are the same for every captioner.
    """

    def work(folder: Path, log: Log) -> Mapping[str, float]:
        from finecap.evaluation.evaluate import evaluate

        dataset, validated, base, judge, features = (part.path for part in parts)
        records = records_of(validated)
        cache.mkdir(parents=True, exist_ok=True)
        found = evaluate(
            captioner, features, dataset, records, base, judge, chosen, folder, log,
            judge_cache=cache,
        )  # fmt: skip
        return {f"{split}/{name}": v for split in SPLITS for name, v in found.values(split).items()}

    return work
