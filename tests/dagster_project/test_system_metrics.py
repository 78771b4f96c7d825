"""What a training takes of its machine is in its run, unless that is turned off."""

import subprocess
import sys
import time
from importlib.metadata import requires
from pathlib import Path

import dagster as dg
import pynvml
import pytest

from dagster_project import system_metrics
from dagster_project.home import Home
from dagster_project.run_config import Forcible
from dagster_project.stages import Registered, Stages, stage
from dagster_project.system_metrics import ProcessMonitor
from dagster_project.tracked_run import points_of
from dagster_project.tracking import Tracker

CPU, RSS = "system/cpu_utilization_percentage", "system/process_rss_megabytes"


@stage(Forcible, None, group="test", modules=())
def model(
    context: dg.AssetExecutionContext, config: Forcible, stages: Stages
) -> dg.MaterializeResult:
    """Training that lasts long enough for a few samples."""

    def work(_folder, log):
        log("training", 1, loss=0.5)
        time.sleep(0.4)
        return {}

    registered = Registered("finecap-clip", "base_clip")
    return stages.run(context, config, [], work, registered=registered)


def sampled(home: Home, resources, instance: dg.DagsterInstance) -> tuple[Tracker, str]:
    """The run of a training."""
    assert dg.materialize([model], resources=resources, instance=instance).success
    tracker = Tracker(home.mlflow, "finecap-test", "")
    version = tracker.client.get_model_version("finecap-clip", "1")
    return tracker, version.run_id


def test_a_training_has_samples_of_its_machine_and_of_its_own_memory(
    home: Home, resources, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(system_metrics, "FIRST_S", 0.02)
    tracker, run_id = sampled(home, resources, instance)
    history = tracker.client.get_metric_history(run_id, RSS)
    assert [m.step for m in history] == list(range(len(history)))
    assert len(history) > 1
    assert 50 < history[0].value < 50_000
    assert CPU in tracker.client.get_run(run_id).data.metrics
    assert {name for name, _, _ in points_of(tracker.client, run_id)} == {"train/loss"}


def test_they_are_turned_off_by_mlflows_own_variable(
    home: Home, resources, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(system_metrics, "FIRST_S", 0.02)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    tracker, run_id = sampled(home, resources, instance)
    assert set(tracker.client.get_run(run_id).data.metrics) == {"train/loss"}


def has_driver() -> bool:
    """Whether NVIDIA's library finds its driver here."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    pynvml.nvmlShutdown()
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has a GPU")
def test_without_a_driver_no_gpu_is_claimed_and_nothing_is_said(
    home: Home, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(pynvml.NVMLError, match=r"Shared Library Not Found|Driver Not Loaded"):
        pynvml.nvmlInit()
    monitor = system_metrics.Monitor("a run", Tracker(home.mlflow, "finecap-test", "").uri)
    monitor.collect_metrics()
    sampled = monitor.aggregate_metrics()
    assert sampled
    assert not [name for name in sampled if "gpu" in name]
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))


@pytest.mark.gpu
@pytest.mark.skipif(not has_driver(), reason="this machine has no GPU")
def test_with_a_driver_memory_and_use_of_each_gpu_are_sampled(home: Home):
    monitor = system_metrics.Monitor("a run", Tracker(home.mlflow, "finecap-test", "").uri)
    monitor.collect_metrics()
    sampled = monitor.aggregate_metrics()
    assert sampled["gpu_0_memory_usage_megabytes"] > 0
    assert 0 <= sampled["gpu_0_utilization_percentage"] <= 100


def test_nvidias_library_comes_with_what_trains():
    """By the extra that the image `pipeline` installs, whichever torch it is built with."""
    needed = [line for line in requires("finecap") or [] if line.startswith("nvidia-ml-py")]
    assert any(line.endswith("extra == 'pipeline'") for line in needed)
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text()
    assert "--editable '.[pipeline,team]'" in dockerfile


def test_processes_that_were_started_count_too():
    monitor = ProcessMonitor()
    monitor.collect_metrics()
    (alone,) = monitor.metrics["process_rss_megabytes"]
    taken = "x = bytearray(64_000_000); print('taken', flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", taken], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        monitor.collect_metrics()
        process.kill()
    assert monitor.aggregate_metrics()["process_rss_megabytes"] > alone + 50


def test_intervals_grow_so_that_a_long_training_has_hundreds_of_samples():
    at, wait, samples = 0.0, system_metrics.FIRST_S, 0
    while at < 24 * 3600:
        at, samples = at + wait, samples + 1
        wait = min(wait * system_metrics.GROWTH, system_metrics.LONGEST_S)
        if at < 10:
            early = samples
    assert early >= 4
    assert samples < 1500
