"""Stages: made once per data version, forced when asked, registered once."""

import errno
import os
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.artifacts import ArtifactStore, NoSpaceError
from dagster_project.home import Home
from dagster_project.model_card import model_description
from dagster_project.run_config import Forcible, MleRun, ScstRun
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracking import Tracker
from finecap.config import MleConfig, ScstConfig

CALLS: list[str] = []


def source(text: str = "x"):
    @stage(Forcible, None, group="test", modules=())
    def source(
        context: dg.AssetExecutionContext, config: Forcible, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, _log):
            CALLS.append("source")
            (folder / "text").write_text(text)
            return {}

        return stages.run(context, config, [], work)

    return source


def model(body=None, registered: Registered | None = None):
    @stage(MleRun, MleConfig(), group="test", modules=())
    def model(
        context: dg.AssetExecutionContext, config: MleRun, source, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            CALLS.append("model")
            for step in range(3):
                log("training", step, loss=1.0 / (step + 1))
            (body or (lambda f: (f / "weights").write_text("w")))(folder)
            return {"val_cider": 0.5}

        return stages.run(context, config, [source], work, registered=registered)

    return model


@pytest.fixture(autouse=True)
def _no_calls():
    CALLS.clear()


def materialize(assets, resources, instance, **options) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, resources=resources, instance=instance, **options)


def shown(outcome: dg.ExecuteInProcessResult, node: str):
    (event,) = outcome.asset_materializations_for_node(node)
    return event.metadata


def test_second_run_makes_nothing(resources, instance):
    graph = [source(), model()]
    first = materialize(graph, resources, instance)
    second = materialize(graph, resources, instance)
    assert CALLS == ["source", "model"]
    assert shown(first, "model")["status"].value == "made"
    assert shown(second, "model")["status"].value == "reused"


def test_changed_setting_makes_the_stage_again_and_not_its_input(resources, instance):
    graph = [source(), model()]
    materialize(graph, resources, instance)
    config = {"ops": {"model": {"config": {"lr": 0.5}}}}
    materialize(graph, resources, instance, run_config=config)
    assert CALLS == ["source", "model", "model"]


def test_force_makes_the_same_version_again(resources, instance, home: Home):
    graph = [source(), model()]
    materialize(graph, resources, instance)
    config = {"ops": {"model": {"config": {"force": True}}}}
    materialize(graph, resources, instance, run_config=config)
    assert CALLS == ["source", "model", "model"]
    assert len(list((home.artifacts / "model").iterdir())) == 1


def test_profile_values_are_the_defaults_in_the_launchpad():
    @stage(MleRun, MleConfig(lr=0.125), group="test", modules=())
    def tuned(config: MleRun) -> None:
        """Nothing."""

    schema = tuned.op.config_schema.config_type.fields
    assert schema["lr"].default_value == 0.125
    assert schema["force"].default_value is False
    assert set(schema) == {*MleConfig.model_fields, "force"}


def test_half_written_folder_is_ignored_and_swept(resources, instance, home: Home):
    materialize([source(), model()], resources, instance)
    (made,) = (home.artifacts / "model").iterdir()
    half = home.artifacts / "model" / f".partial-{made.name}-999999999-abc"
    made.rename(half)  # as a killed process leaves it: marker or not, under a temporary name
    outcome = materialize([source(), model()], resources, instance)
    assert shown(outcome, "model")["status"].value == "made"
    assert [f.name for f in (home.artifacts / "model").iterdir()] == [made.name]


def test_full_disk_fails_clearly_and_the_next_run_starts_over(resources, instance):
    def fill(folder: Path) -> None:
        (folder / "weights").write_text("ha")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(NoSpaceError, match="model: no space left on the disk of"):
        materialize([source(), model(fill)], resources, instance)
    outcome = materialize([source(), model()], resources, instance)
    assert shown(outcome, "model")["status"].value == "made"


def test_input_is_the_version_the_event_log_names_not_the_newest_folder(
    resources, instance, home: Home
):
    materialize([source("old")], resources, instance)
    (old,) = (home.artifacts / "source").iterdir()
    newest = home.artifacts / "source" / "newest"
    newest.mkdir()
    seen: list[Path] = []

    @dg.asset(ins={"source": dg.AssetIn()}, io_manager_key="artifacts")
    def reader(source) -> None:
        seen.append(source.path)

    materialize([source("old"), reader], resources, instance, selection=["reader"])
    assert seen == [old]


def test_missing_input_says_what_to_materialize(resources, instance):
    with pytest.raises(dg.Failure, match="source was never materialized"):
        materialize([source(), model()], resources, instance, selection=["model"])


def test_inputs_of_two_data_sets_are_refused(resources, instance):
    def dataset(name: str, md5: str):
        @dg.asset(name=name, io_manager_key="artifacts")
        def data(context: dg.AssetExecutionContext, stages: Stages) -> dg.MaterializeResult:
            folder = Path(stages.path) / name
            return stages.adopt(context, folder, md5, 0.0, lambda _: {})

        return data

    @stage(Forcible, None, group="test", modules=())
    def both(
        context: dg.AssetExecutionContext, config: Forcible, one, two, stages: Stages
    ) -> dg.MaterializeResult:
        return stages.run(context, config, [one, two], lambda _f, _l: {})

    graph = [dataset("one", "a" * 32 + ".dir"), dataset("two", "b" * 32 + ".dir"), both]
    with pytest.raises(dg.Failure, match="different data sets"):
        materialize(graph, resources, instance)


@pytest.fixture
def encoder():
    return model(registered=Registered("finecap-clip", "base_clip"))


def test_model_is_registered_once_with_where_it_comes_from(
    resources, instance, home: Home, encoder
):
    for _ in range(2):
        outcome = materialize([source(), encoder], resources, instance)
    assert shown(outcome, "model")["registered_model"].value == "finecap-clip v1"
    tracker = Tracker(home.mlflow, "finecap-test", "")
    (version,) = tracker.client.search_model_versions("name = 'finecap-clip'")
    tags = version.tags
    assert {"variant", "profile", "data_version", "data_md5", "parents", "config"} <= set(tags)
    assert tags["parents"].startswith("source@")
    assert version.description.startswith("**Encoder of images and sentences `base_clip`**")
    model = tracker.client.get_registered_model("finecap-clip")
    assert model.description == model_description("finecap-clip")
    run = tracker.client.get_run(version.run_id)
    assert run.data.params["lr"] == "0.002"
    assert run.data.metrics["train/val_cider"] == 0.5
    assert [m.value for m in tracker.client.get_metric_history(version.run_id, "train/loss")] == [
        1,
        0.5,
        1 / 3,
    ]


def test_killed_between_making_and_registering_registers_next_time(
    resources, instance, home: Home, encoder
):
    materialize([source(), model()], resources, instance)  # complete on disk, in no registry
    outcome = materialize([source(), encoder], resources, instance)
    assert CALLS == ["source", "model"]
    assert shown(outcome, "model")["registered_model"].value == "finecap-clip v1"
    tracker = Tracker(home.mlflow, "finecap-test", "")
    version = tracker.client.get_model_version("finecap-clip", "1")
    history = tracker.client.get_metric_history(version.run_id, "train/loss")
    assert [m.value for m in history] == [1, 0.5, 1 / 3]


def test_failed_stage_is_a_failed_mlflow_run(resources, instance, home: Home):
    def fail(_: Path) -> None:
        raise RuntimeError("loss is NaN")

    broken = model(fail, Registered("finecap-clip", "base_clip"))
    with pytest.raises(RuntimeError, match="loss is NaN"):
        materialize([source(), broken], resources, instance)
    tracker = Tracker(home.mlflow, "finecap-test", "")
    experiment = tracker.client.get_experiment_by_name("finecap-test")
    runs = tracker.client.search_runs([experiment.experiment_id], "tags.asset = 'model'")
    assert [run.info.status for run in runs] == ["FAILED"]
    assert not tracker.client.search_model_versions("name = 'finecap-clip'")


def test_a_stage_that_weighs_a_plug_in_is_made_again_after_its_upgrade(
    resources, instance, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Weighed in the Launchpad alone; which release it was stands among the artifact's inputs."""

    @stage(ScstRun, ScstConfig(), group="test", modules=())
    def rewarded(
        context: dg.AssetExecutionContext, config: ScstRun, stages: Stages
    ) -> dg.MaterializeResult:
        return stages.run(context, config, [], lambda _folder, _log: {})

    def status_with(release: str) -> object:
        info = tmp_path / "manners-0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Name: manners\nVersion: {release}\n")
        (info / "entry_points.txt").write_text("[finecap.rewards]\npoliteness = manners:Term\n")
        config = {"ops": {"rewarded": {"config": {"weights": {"politeness": 1.0}}}}}
        outcome = materialize([rewarded], resources, instance, run_config=config)
        return shown(outcome, "rewarded")["status"].value

    monkeypatch.syspath_prepend(tmp_path)
    releases = ["1.0", "1.0", "1.1", "1.0"]
    assert [status_with(r) for r in releases] == ["made", "reused", "made", "reused"]
    store = ArtifactStore(home.artifacts)
    made = [store.get("rewarded", f.name).inputs for f in (home.artifacts / "rewarded").iterdir()]
    assert sorted(inputs["package manners"] for inputs in made) == ["1.0", "1.1"]
