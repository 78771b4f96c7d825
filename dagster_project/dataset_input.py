"""The data set of a run, as MLflow's data set entities: name, digest, source, sizes.

Training is on one entity; an evaluation is on one per split, because MLflow keeps one context per
data set and run. All have the md5 of the same data, which is what DVC and every artifact call it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

TRAINING, EVALUATION = "training", "evaluation"
SCORED = ("val", "test")


@dataclass(frozen=True)
class DataSet:
    """What a run's data is, and how much of it there is after validation."""

    name: str  # of the profile
    md5: str
    folder: Path
    by_split: Mapping[str, int] = field(default_factory=dict)  # images
    by_part: Mapping[str, int] = field(default_factory=dict)  # of train


def data_set(name: str, md5: str, folder: Path, validated: Path | None) -> DataSet:
    """The data set in `folder`, counted as its validation in `validated` has."""
    if validated is None:
        return DataSet(name, md5, folder)
    verdict = json.loads((validated / "results.json").read_text())
    return DataSet(name, md5, folder, verdict["by_split"], verdict["by_part"])


def split_name(data: DataSet, split: str) -> str:
    """Name of the entity that stands for one scored split."""
    return f"{data.name}-{split}"


def inputs(data: DataSet, context: str) -> list["DatasetInput"]:
    """The entities that a run of that context is logged with."""
    if context == TRAINING:
        return [_input(data, data.name, data.by_split, context)]
    return [
        _input(data, split_name(data, split), {split: data.by_split.get(split, 0)}, context)
        for split in SCORED
    ]


def _input(data: DataSet, name: str, rows: Mapping[str, int], context: str) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    image, captions = ColSpec("string", "image"), ColSpec(Array(DataType.string), "captions")
    dataset = Dataset(
        name=name,
        digest=data.md5,
        source_type="local",
        source=json.dumps({"uri": str(data.folder)}),
        schema=json.dumps({"mlflow_colspec": Schema([image, captions]).to_dict()}),
        profile=json.dumps({"num_rows": sum(rows.values()), **rows})
        if any(rows.values())
        else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
