"""A full disk, data that may not be written, a clock that goes back: real ones, and nothing lost.

Disks are small file systems in memory; where the user may mount none, those tests are skipped.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from dagster_project.artifacts import ArtifactStore, NoSpaceError
from dagster_project.home import Home
from dagster_project.pointer import ensure_data
from dagster_project.registry import Registry
from dagster_project.run_config import MleRun
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracking import Tracker
from finecap.config import MleConfig
from tests.dagster_project.conftest import resources_of
from tests.mounted import mounted, needs_mount, remount

SIZE = 400_000
MODEL = Registered("finecap-clip", "base_clip")


def model(size: int = SIZE, **options) -> dg.AssetsDefinition:
    @stage(MleRun, MleConfig(), group="test", modules=(), name="model")
    def model(
        context: dg.AssetExecutionContext, config: MleRun, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            log("training", 1, loss=config.lr)
            (folder / "weights").write_bytes(os.urandom(size))
            return {}

        return stages.run(context, config, [], work, registered=MODEL, **options)

    return model


def materialize(home: Home, instance: dg.DagsterInstance, size: int = SIZE, **settings):
    """The materialization's status."""
    config = {"ops": {"model": {"config": settings}}}
    outcome = dg.materialize(
        [model(size)], resources=resources_of(home), instance=instance, run_config=config
    )
    (made,) = outcome.asset_materializations_for_node("model")
    return made.metadata["status"].value


@needs_mount
def test_a_full_disk_ends_a_training_with_its_name_and_leaves_nothing_half_made(
    home: Home, instance: dg.DagsterInstance
):
    with mounted(home.artifacts, "-o", "size=200k"):
        with pytest.raises(NoSpaceError, match=r"model: no space left on the disk of .*removed"):
            materialize(home, instance)
        assert list((home.artifacts / "model").iterdir()) == []
        remount(home.artifacts, "size=2m")
        assert materialize(home, instance) == "made"


@needs_mount
def test_a_disk_that_is_full_at_registration_keeps_the_model_for_the_next_run(
    home: Home, instance: dg.DagsterInstance
):
    with mounted(home.mlflow / "artifacts", "-o", "size=200k"):
        said = "model: no space left on the disk of .*is whole, and the next run registers it"
        with pytest.raises(NoSpaceError, match=said):
            materialize(home, instance)
        tracker = Tracker(home.mlflow, "finecap-test", "")
        assert tracker.client.search_model_versions() == []
        remount(home.mlflow / "artifacts", "size=2m")
        assert materialize(home, instance) == "reused"
        (version,) = tracker.client.search_model_versions()
        assert tracker.exported_files(version) == ["weights"]


@needs_mount
def test_data_that_may_not_be_written_is_read_all_the_same(tmp_path: Path):
    place = tmp_path / "read only"
    with mounted(place, "-o", "size=200k"):
        (place / "data" / "images").mkdir(parents=True)
        (place / "data" / "images" / "1.png").write_bytes(b"picture")
        (place / "data" / "captions.jsonl").write_text("{}\n")
        where = (place / "data", place / "data.dvc", tmp_path / "home" / "md5.json")
        md5 = ensure_data(*where, None, lambda _: None)
        remount(place, "ro")
        with pytest.raises(OSError, match="Read-only"):
            (place / "data" / "x").touch()
        where[-1].unlink()
        assert ensure_data(*where, None, lambda _: None) == md5


def test_a_clock_that_goes_back_changes_no_order(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    """The later of two versions is the later one, whatever its time says."""
    now, clock = datetime.now(UTC), time.time
    seen: list[str] = []

    @dg.asset(ins={"model": dg.AssetIn()}, io_manager_key="artifacts")
    def reader(model) -> None:
        seen.append(model.data_version)

    for days, lr in ((0, 0.25), (-30, 0.5)):
        monkeypatch.setattr(time, "time", lambda days=days: clock() + days * 86_400)
        with freeze_time(now + timedelta(days=days)):
            materialize(home, instance, 10, lr=lr)
            graph, resources = [model(10), reader], resources_of(home)
            outcome = dg.materialize(
                graph, resources=resources, instance=instance, selection=["reader"],
                raise_on_error=False,
            )  # fmt: skip
            assert seen, outcome
    tracker = Tracker(home.mlflow, "finecap-test", "")
    versions = Registry(tracker, MODEL.name).versions()
    assert seen == [v.tags["data_version"] for v in versions.values()]
    later = tracker.client.get_run(versions["2"].run_id)
    assert later.data.params["lr"] == "0.5"
    assert later.info.start_time < tracker.client.get_run(versions["1"].run_id).info.start_time
    assert ArtifactStore(home.artifacts).find("model", seen[1]) is not None
