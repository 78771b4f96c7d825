"""A training that was broken off goes on: one MLflow run, one history, one process at a time."""

import json
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import dagster as dg
import pytest
from mlflow.entities import Run

from dagster_project.artifacts import ArtifactStore
from dagster_project.home import Home
from dagster_project.run_config import Forcible, MleRun
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracked_run import TrackedRun
from dagster_project.tracking import Tracker
from finecap.config import MleConfig, ScstConfig
from finecap.lock import InUseError
from tests.dagster_project.holder import another_process
from tests.dagster_project.training import Training, cause
from tests.finecap.conftest import tiny

__all__ = ["tiny"]

ENCODER = Registered("finecap-clip", "base_clip")
STEPS = 6
WHOLE = [(step, 1.0 / step) for step in range(1, STEPS + 1)]
FORCED = {"ops": {"model": {"config": {"force": True}}}}


@stage(Forcible, None, group="test", modules=())
def source(
    context: dg.AssetExecutionContext, config: Forcible, stages: Stages
) -> dg.MaterializeResult:
    """Nothing."""
    return stages.run(context, config, [], lambda _folder, _log: {})


def materialize(assets, resources, instance, **options) -> dg.ExecuteInProcessResult:
    return dg.materialize([source, *assets], resources=resources, instance=instance, **options)


def resumable(dies_at: int | None = None, seen: list[str] | None = None):
    """A model whose training saves every second step, goes on from there, and dies or not."""

    @stage(MleRun, MleConfig(), group="test", modules=(), name="model")
    def model(
        context: dg.AssetExecutionContext, config: MleRun, source, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            kept = stages.checkpoints(context, config, [source])
            if seen is not None:
                seen.extend(sorted(f.name for f in kept.glob("step-*")))
            start = max((int(f.name.removeprefix("step-")) for f in kept.glob("step-*")), default=0)
            for step in range(start + 1, STEPS + 1):
                log("training", step, loss=1.0 / step)
                if step % 2 == 0:
                    (kept / f"step-{step}").touch()
                if step == dies_at:
                    raise RuntimeError("killed")
            (folder / "weights").write_text("w")
            return {"val_cider": 0.5}

        return stages.run(context, config, [source], work, registered=ENCODER)

    return model


def broken_off(resources, instance, at: int = 5, **options) -> None:
    graph = [resumable(at)]
    outcome = materialize(graph, resources, instance, raise_on_error=False, **options)
    assert not outcome.success


def encoders(home: Home) -> list[Run]:
    """The asset's MLflow runs that are not deleted, the oldest first."""
    tracker = Tracker(home.mlflow, "finecap-test", "")
    experiment = tracker.client.get_experiment_by_name("finecap-test")
    where, order = "tags.asset = 'model'", ["attributes.start_time"]
    return tracker.client.search_runs([experiment.experiment_id], where, order_by=order)


def losses(home: Home, run: Run) -> list[tuple[int, float]]:
    client = Tracker(home.mlflow, "finecap-test", "").client
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train/loss")]


def test_a_retry_goes_on_in_the_same_mlflow_run_and_its_chart_and_history_are_whole(
    resources, instance, home: Home
):
    broken_off(resources, instance)
    (run,) = encoders(home)
    assert (run.info.status, losses(home, run)) == ("FAILED", WHOLE[:5])
    seen: list[str] = []
    outcome = materialize([resumable(None, seen)], resources, instance)
    assert seen == ["step-2", "step-4"]  # so step 5 is taken again
    (again,) = encoders(home)
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert losses(home, again) == WHOLE
    assert again.data.metrics["train/val_cider"] == 0.5
    assert again.data.tags["dagster_run_id"] == outcome.run_id
    (made,) = (home.artifacts / "model").iterdir()
    artifact = ArtifactStore(home.artifacts).get("model", made.name)
    assert [(row["step"], row["loss"]) for row in artifact.history] == WHOLE
    assert artifact.run_id == run.info.run_id


def test_of_a_run_deleted_in_mlflow_a_new_one_takes_over_with_all_metrics(
    resources, instance, home: Home
):
    broken_off(resources, instance)
    (run,) = encoders(home)
    Tracker(home.mlflow, "finecap-test", "").client.delete_run(run.info.run_id)
    outcome = materialize([resumable()], resources, instance)
    (new,) = encoders(home)
    assert new.info.run_id != run.info.run_id
    assert losses(home, new) == WHOLE
    lines = [entry.user_message for entry in instance.all_logs(outcome.run_id)]
    said = f"MLflow run {run.info.run_id} of the training so far was deleted, or is finished: a new"
    assert [line for line in lines if line.startswith(said) and new.info.run_id in line]


@pytest.mark.parametrize(("force", "found"), [(False, ["step-2", "step-4"]), (True, [])])
def test_what_a_dead_run_left_is_found_by_the_next_unless_forced(
    resources, instance, home: Home, force: bool, found: list[str]
):
    broken_off(resources, instance)
    seen: list[str] = []
    config = {"ops": {"model": {"config": {"force": force}}}}
    materialize([resumable(None, seen)], resources, instance, run_config=config)
    assert seen == found
    assert not list((home.checkpoints / "model").iterdir())
    assert [losses(home, run) for run in encoders(home)] == ([WHOLE[:5]] if force else []) + [WHOLE]


def test_a_version_that_another_process_trains_is_refused_until_that_is_gone(
    resources, instance, home: Home
):
    broken_off(resources, instance)
    (folder,) = (home.checkpoints / "model").iterdir()
    graph = [resumable()]
    with another_process(folder) as holder:
        with pytest.raises(InUseError, match=f"in use by process {holder.pid} on"):
            materialize(graph, resources, instance)
        with pytest.raises(InUseError, match=f"in use by process {holder.pid} on"):
            materialize(graph, resources, instance, run_config=FORCED)
        assert (folder / "step-4").is_file()
        assert [run.info.status for run in encoders(home)] == ["FAILED"]
        holder.kill()
        holder.wait()
        assert materialize(graph, resources, instance).success


def test_what_was_kept_of_other_versions_goes_when_the_asset_is_finished(
    resources, instance, home: Home
):
    broken_off(resources, instance)
    (abandoned,) = (home.checkpoints / "model").iterdir()
    neighbour = home.checkpoints / "other" / abandoned.name
    shutil.copytree(abandoned, neighbour)
    config = {"ops": {"model": {"config": {"lr": 0.5}}}}
    broken_off(resources, instance, run_config=config)
    assert len(list((home.checkpoints / "model").iterdir())) == 2  # not before it is finished
    outcome = materialize([resumable()], resources, instance, run_config=config)
    assert list((home.checkpoints / "model").iterdir()) == []
    assert (neighbour / "step-4").is_file()
    lines = [entry.user_message for entry in instance.all_logs(outcome.run_id)]
    removed = f"removed the checkpoints of version {abandoned.name}, 0.0 MB freed"
    assert "removed its checkpoints, 0.0 MB freed" in lines
    assert removed in lines


def test_a_process_killed_as_it_ended_leaves_an_open_run_and_checkpoints_that_the_next_ends(
    resources, instance, home: Home
):
    """Complete on disk, but with the last metrics unsent and nothing registered."""
    broken_off(resources, instance)
    (folder,) = (home.checkpoints / "model").iterdir()
    before = shutil.copytree(folder, home.path / "before")
    (run,) = encoders(home)
    client = Tracker(home.mlflow, "finecap-test", "").client
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrackedRun, "flush", lambda _: None)
        patch.setattr(Tracker, "register", kill)
        with pytest.raises(KeyboardInterrupt):
            materialize([resumable()], resources, instance)
    client.update_run(run.info.run_id, status="RUNNING")
    assert losses(home, run) == WHOLE[:5]
    shutil.copytree(before, folder)
    outcome = materialize([resumable(dies_at=1)], resources, instance)
    (event,) = outcome.asset_materializations_for_node("model")
    assert event.metadata["status"].value == "reused"
    assert not list((home.checkpoints / "model").iterdir())
    (ended,) = encoders(home)
    assert (ended.info.status, losses(home, ended)) == ("FINISHED", WHOLE)
    assert ended.data.metrics["train/val_cider"] == 0.5
    version = client.get_model_version("finecap-clip", "1")
    assert version.run_id == run.info.run_id


def kill(*_: object) -> None:
    raise KeyboardInterrupt


def kill_past(training: Training, step: int) -> int:
    """Materialize in a process that is killed once it has saved past a step; its last save."""
    command = [sys.executable, "-m", "tests.dagster_project.training", str(training.home.path)]
    settings = json.dumps(LONG.model_dump(mode="json"))
    with subprocess.Popen([*command, settings]) as process:
        while training.step() <= step:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    return training.step()


LONG = ScstConfig(steps=40, val_every=4, batch_size=16, samples_per_image=3, max_tokens=20)


@pytest.mark.slow
def test_a_training_killed_by_force_goes_on_with_a_chart_without_hole_or_repetition(
    tiny: SimpleNamespace, home: Home, instance: dg.DagsterInstance
):
    """What it had not sent yet when it was killed is sent by the next, from its history on disk."""
    training = Training(home, instance, LONG)
    training.put(tiny)
    saved = kill_past(training, 8)
    ((run_id, status),) = training.runs().items()
    assert status == "RUNNING"
    outcome = training.materialize()
    assert outcome.success, cause(outcome)
    assert f"going on from step {saved}" in training.logged(outcome)
    assert training.runs() == {run_id: "FINISHED"}
    assert training.versions() == [run_id]
    assert training.steps_of("train/val_reward") == [*range(0, LONG.steps + 1, 4), LONG.steps + 1]
    assert training.steps_of("train/reward") == [*range(5, LONG.steps + 1, 5), LONG.steps + 1]
    looks = [row["step"] for row in training.made.history if "val_reward" in row]
    assert looks == [*range(0, LONG.steps + 1, 4)]
    assert not list(home.checkpoints.glob("scst/clip_s/*"))
