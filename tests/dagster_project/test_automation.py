"""The schedule and the sensor fire when they should, once."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.automation import new_data
from dagster_project.definitions import build_defs
from dagster_project.home import Home
from dagster_project.pointer import write_pointer
from finecap.config import load_profile

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "1" * 32 + ".dir", "2" * 32 + ".dir"


@pytest.fixture
def defs(tmp_path: Path) -> dg.Definitions:
    return build_defs(load_profile("smoke"), Home(ROOT, tmp_path))


def test_weekly_retrain_seeds_captioners_by_the_iso_week(defs: dg.Definitions):
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 23, 3, tzinfo=UTC)
    )
    tick = defs.resolve_schedule_def("weekly_retrain").evaluate_tick(context)
    (request,) = tick.run_requests
    seeds = {name: op["config"]["seed"] for name, op in request.run_config["ops"].items()}
    assert set(seeds.values()) == {202648}
    assert {"mle_captioner", "scst__clip_s"} <= set(seeds)
    assert not {"base_clip", "judge_clip", "image_features"} & set(seeds)
    assert request.run_key == "week-202648"


def test_weekly_run_config_is_one_the_job_accepts(defs: dg.Definitions):
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 23, 3, tzinfo=UTC)
    )
    (request,) = defs.resolve_schedule_def("weekly_retrain").evaluate_tick(context).run_requests
    assert dg.validate_run_config(defs.resolve_job_def("retrain"), request.run_config)


class Sensor:
    """The sensor over a pointer in a folder, its cursor kept as the daemon keeps it."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance, self.cursor = root, instance, None
        profile = load_profile("scenes")
        self.sensor = new_data(profile, root)
        self.defs = build_defs(profile, Home(ROOT, root))

    def tick(self, md5: str | None = None) -> list[str | None]:
        if md5:
            write_pointer(self.root / "data.dvc", self.root / "data", md5, 1, 1)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.defs,
            sensor_name="new_data",
        )
        outcome = self.sensor.evaluate_tick(context)
        self.cursor = outcome.cursor
        return [request.run_key for request in outcome.run_requests or []]


@pytest.fixture
def sensor(tmp_path: Path, instance: dg.DagsterInstance) -> Sensor:
    return Sensor(tmp_path, instance)


def test_new_md5_retrains_once(sensor: Sensor):
    assert sensor.tick(FIRST) == [FIRST]
    assert sensor.tick() == []
    assert sensor.tick(SECOND) == [SECOND]


def test_md5_that_flaps_back_does_not_retrain(sensor: Sensor):
    sensor.tick(FIRST)
    sensor.tick(SECOND)
    assert sensor.tick(FIRST) == []


def test_md5_already_materialized_does_not_retrain(sensor: Sensor, instance: dg.DagsterInstance):
    @dg.asset
    def dataset() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(FIRST))

    dg.materialize([dataset], instance=instance)
    assert sensor.tick(FIRST) == []


def test_no_pointer_is_no_run(sensor: Sensor):
    assert sensor.tick() == []
