"""The data group: what a person is left with when data is refused."""

import re
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.assets import data
from dagster_project.home import Home
from dagster_project.resources import DataResource
from finecap.config import DataConfig, load_profile
from finecap.data.scenes import draw_world
from finecap.log import silent


@pytest.fixture
def world(tmp_path: Path) -> DataConfig:
    """A drawn world without most of its images."""
    config = DataConfig(
        folder=str(tmp_path / "data"),
        pointer=str(tmp_path / "data.dvc"),
        drawn=False,
        clip_images=8,
        judge_images=2,
        captioner_images=2,
        val_images=2,
        test_images=2,
    )
    draw_world(tmp_path / "data", config, silent, processes=1)
    for image in sorted((tmp_path / "data/images").iterdir())[:10]:
        image.unlink()
    return config


def test_the_report_of_refused_data_is_kept_and_named(
    world: DataConfig, home: Home, resources: dict[str, object], instance: dg.DagsterInstance
):
    profile = load_profile("smoke").model_copy(update={"data": world})
    given = {**resources, "data": DataResource(root=str(home.root), home=str(home.path))}
    assets = [data.dataset(profile), data.validated_dataset(profile)]
    outcome = dg.materialize(assets, instance=instance, resources=given, raise_on_error=False)
    failure = outcome.failure_data_for_node("validated_dataset")
    assert failure is not None
    assert failure.error is not None
    message = str(failure.error.cause)
    assert "10 of 16 rows fail" in message
    (quarantine,) = re.findall(r"Rows with reasons: (.+?);", message)
    assert Path(quarantine) == home.reports / data.REJECTED / "quarantine.csv"
    assert len(Path(quarantine).read_text().splitlines()) == 11
    assert (home.reports / data.REJECTED / "report.html").is_file()
