"""Logs for machines: whole JSON lines that name run and asset; no secret in them, nor in stores."""

import json
import logging
import os
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagster_project import doctor, outage
from dagster_project.home import TRACKING_URI, Home
from dagster_project.instance import SETTINGS
from dagster_project.logs import content
from dagster_project.run_config import Forcible
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracking import Tracker
from finecap.config import load_profile
from tests.dagster_project.conftest import ROOT, resources_of
from tests.dagster_project.mlflow_server import MlflowServer

SECRET = "open-sesame"  # noqa: S105  what is looked for


def model(is_broken: bool) -> dg.AssetsDefinition:
    """A model that trains, or does not."""

    @stage(Forcible, None, group="test", modules=(), name="model")
    def model(
        context: dg.AssetExecutionContext, config: Forcible, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            log("training", 1, loss=0.5)
            if is_broken:
                raise ValueError("loss is NaN")
            (folder / "weights").write_text("w")
            return {}

        registered = Registered("finecap-clip", "base_clip")
        return stages.run(context, config, [], work, registered=registered)

    return model


def materialize(home: Home, folder: Path, is_broken: bool = False) -> str:
    """Materialize the model on an instance as `prepare` sets it up; the run's id."""
    folder.mkdir()
    settings = {"python_logs": yaml.safe_load(SETTINGS)["python_logs"]}
    with dg.DagsterInstance.local_temp(str(folder), overrides=settings) as instance:
        outcome = dg.materialize(
            [model(is_broken)], resources=resources_of(home), instance=instance,
            raise_on_error=False,
        )  # fmt: skip
        assert outcome.success != is_broken
        return outcome.run_id


def objects(stderr: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def test_every_line_names_run_and_asset(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("FINECAP_LOG", "json")
    run_id = materialize(home, tmp_path / "dagster", is_broken=True)
    said = objects(capsys.readouterr().err)
    assert {line["run"] for line in said} == {run_id}
    steps = [line for line in said if line["asset"] == "model"]
    events = [line["event"] for line in steps]
    assert [e for e in events if e != "LOG"] == ["STEP_START", "STEP_FAILURE"]
    assert "step 1 training loss=0.5" in [line["message"] for line in steps]
    assert "loss is NaN" in str(steps[-1]["error"])
    assert steps[-1]["level"] == "ERROR"


def test_without_being_asked_for_there_are_none(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    materialize(home, tmp_path / "dagster")
    assert objects(capsys.readouterr().err) == []


def test_a_line_of_another_logger_is_whole_without_a_run():
    record = logging.LogRecord("x", logging.WARNING, "", 0, "half %d", (1,), None)
    said = content(record)
    assert said is not None
    assert (said["message"], said["run"], said["asset"]) == ("half 1", None, None)
    record.levelno = logging.DEBUG
    assert content(record) is None


def files_with_the_secret(*folders: Path) -> list[Path]:
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [file for file in files if SECRET.encode() in file.read_bytes()]


def test_no_secret_of_the_environment_is_logged_or_stored(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    """Neither in runs, tags, parameters and models, nor in events, logs and what doctor says."""
    monkeypatch.setattr(os, "environ", os.environ)  # so that what is set below is undone
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(TRACKING_URI, server.address.replace("//", f"//me:{SECRET}@"))
    monkeypatch.setenv("FINECAP_INDEX_URL", f"postgresql://me:{SECRET}@127.0.0.1:9/finecap")
    monkeypatch.setenv("FINECAP_WEBHOOK_URL", f"http://127.0.0.1:9/{SECRET}")
    monkeypatch.setenv("FINECAP_TOKEN", SECRET)
    monkeypatch.setenv("FINECAP_LOG", "json")
    monkeypatch.setattr(outage, "WAITS_S", (0.0,))
    home = Home(ROOT, tmp_path / "home")
    materialize(home, tmp_path / "dagster")
    for finding in doctor.examined(home, load_profile("smoke")):
        assert SECRET not in f"{finding.said} {finding.fix}"
    monkeypatch.setenv(TRACKING_URI, f"http://me:{SECRET}@127.0.0.1:9")
    materialize(home, tmp_path / "unreachable", is_broken=True)  # it cannot even be looked for
    said = capsys.readouterr()
    assert "model: MLflow did not answer" in said.err
    assert SECRET not in said.out + said.err
    assert files_with_the_secret(tmp_path, server.folder) == []
    monkeypatch.setenv(TRACKING_URI, server.address)
    client = Tracker(home.mlflow, "finecap-test", "").client
    client.delete_registered_model("finecap-clip")
