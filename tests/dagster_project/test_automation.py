"""The schedule and the sensors fire when they should, once."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.automation import champion_moved, new_data
from dagster_project.definitions import build_defs
from dagster_project.home import Home
from dagster_project.pointer import write_pointer
from dagster_project.registry import CHAMPION
from finecap.config import load_profile
from tests.dagster_project.champions import Champions
from tests.finecap.conftest import tiny

__all__ = ["tiny"]

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


class Alias:
    """The sensor over a home with champions."""

    def __init__(self, champions: Champions) -> None:
        self.champions = champions
        self.sensor = champion_moved(champions.home)

    def tick(self) -> dg.RunRequest | str:
        """What it asks for, or why it asks for nothing."""
        outcome = self.sensor.evaluate_tick(
            dg.build_sensor_context(
                instance=self.champions.instance,
                definitions=build_defs(load_profile("smoke"), self.champions.home),
                sensor_name="champion_moved",
            )
        )
        return outcome.run_requests[0] if outcome.run_requests else outcome.skip_message or ""


@pytest.fixture
def alias(home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace) -> Alias:
    return Alias(Champions(home, instance, tiny))


def test_moved_champion_is_indexed_once_and_only_when_it_is_not_searched(alias: Alias):
    champions = alias.champions
    mle, clip_s = champions.train("mle", 0.1), champions.train("clip_s", 0.6, seed=1)
    assert alias.tick() == "no captioner is champion"
    champions.run()
    assert alias.tick() == f"v{clip_s} is searched"
    champions.registry.point(CHAMPION, mle)
    asked = alias.tick()
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == f"move-2-v{mle}"
    assert asked.job_name in {None, "reindex"}
    assert asked == alias.tick()  # one run: the daemon takes a key once
    champions.run()
    assert alias.tick() == f"v{mle} is searched"
    champions.registry.point(CHAMPION, clip_s)
    champions.registry.point(CHAMPION, mle)
    assert alias.tick() == f"v{mle} is searched"


def test_a_run_that_may_index_is_waited_for(alias: Alias):
    champions = alias.champions
    mle, _ = champions.train("mle", 0.1), champions.train("clip_s", 0.6, seed=1)
    champions.run()
    champions.registry.point(CHAMPION, mle)
    run = champions.instance.create_run_for_job(
        build_defs(load_profile("smoke"), champions.home).resolve_job_def("retrain"),
        status=dg.DagsterRunStatus.STARTED,
    )
    assert alias.tick() == f"run {run.run_id[:8]} may be about to index"


def test_home_without_models_asks_for_nothing(alias: Alias):
    alias.champions.home.tracking_store.unlink(missing_ok=True)
    assert alias.tick() == "nothing was registered yet"
    assert not alias.champions.home.tracking_store.exists()
