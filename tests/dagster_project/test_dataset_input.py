"""A run's data set: one entity to train on, one per scored split, sizes as validation counted."""

import json
from pathlib import Path

from dagster_project.dataset_input import DataSet, data_set, inputs

MD5 = "4a269f219293e0ec46f2c76c93597a6d.dir"


def test_sizes_are_those_that_validation_counted(tmp_path: Path):
    verdict = {"by_split": {"train": 5, "val": 1, "test": 2}, "by_part": {"clip": 5}}
    (tmp_path / "results.json").write_text(json.dumps(verdict))
    data = data_set("scenes", MD5, Path("/data"), tmp_path)
    assert (data.by_split, data.by_part) == (verdict["by_split"], verdict["by_part"])
    (entity,) = inputs(data, "training")
    counted = {"num_rows": 8, "train": 5, "val": 1, "test": 2}
    assert json.loads(entity.dataset.profile) == counted


def test_mlflow_opens_the_source_and_takes_the_whole_md5():
    import mlflow

    (entity,) = inputs(DataSet("scenes", MD5, Path("/data")), "training")
    assert entity.dataset.digest == MD5
    assert mlflow.data.get_source(entity.dataset).uri == "/data"
    assert entity.dataset.profile is None  # it was not counted


def test_an_evaluation_is_on_an_entity_per_split():
    data = DataSet("scenes", MD5, Path("/data"), {"train": 5, "val": 1, "test": 2})
    found = {each.dataset.name: each for each in inputs(data, "evaluation")}
    assert set(found) == {"scenes-val", "scenes-test"}
    assert json.loads(found["scenes-test"].dataset.profile)["num_rows"] == 2
    assert {each.tags[0].value for each in found.values()} == {"evaluation"}
