"""What a run prepares, and prints at its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dagster_project.docs import README
from dagster_project.home import Home
from dagster_project.run import main, next_steps, prepare, summary, with_checkpoints
from finecap.config import load_profile
from tests.dagster_project import offline


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_prepare_points_dagster_at_the_home_and_keeps_what_a_user_wrote(tmp_path: Path):
    home = Home(tmp_path, tmp_path / "home")
    prepare(home, load_profile("smoke"))
    settings = home.dagster / "dagster.yaml"
    assert os.environ["DAGSTER_HOME"] == str(home.dagster)
    written = yaml.safe_load(settings.read_text())
    assert written["telemetry"] == written["nux"] == {"enabled": False}
    settings.write_text("telemetry: {enabled: false}\n")
    prepare(home, load_profile("smoke"))
    assert settings.read_text() == "telemetry: {enabled: false}\n"


def test_summary_shows_a_dash_where_a_score_could_not_be_had(tmp_path: Path):
    metrics = {"cider": {"value": 0.5}, "grammatical_rate": {"value": None, "reason": "photos"}}
    content = {"profile": "p", "data_md5": "a" * 32, "variants": {"mle": metrics}}
    (tmp_path / "leaderboard.json").write_text(json.dumps(content))
    row = summary(tmp_path / "leaderboard.json").splitlines()[-1].split()
    assert row == ["mle", "-", "-", "0.500", "-", "-", "-"]


def test_the_readme_shows_what_a_run_prints_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    lines = next_steps(Home(tmp_path, tmp_path / "var"), "scenes", "scenes")
    assert f"```text\n{lines}\n```" in README.read_text()


def test_next_steps_of_another_profile_name_its_home_and_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    lines = next_steps(Home(tmp_path, tmp_path / "var/photos"), "photos", "my photos.yaml")
    assert "make up PROFILE='my photos.yaml'" in lines
    assert "FINECAP_HOME=var/photos .venv/bin/finecap search" in lines


def test_weights_given_on_the_command_line_go_before_the_profiles(tmp_path: Path):
    home, weights = Home(tmp_path, tmp_path / "home"), tmp_path / "clip.safetensors"
    coco = load_profile("coco")
    with pytest.raises(FileNotFoundError, match=r"checkpoint .*clip\.safetensors does not exist"):
        with_checkpoints(coco, "coco", home, {"base_clip": weights, "judge_clip": None})
    weights.touch()
    file = with_checkpoints(coco, "coco", home, {"base_clip": weights, "judge_clip": None})
    found = load_profile(str(file))
    assert found.base_clip.pretrained == str(weights)
    changed = found.base_clip.model_copy(update={"pretrained": "openai"})
    assert found.model_copy(update={"base_clip": changed}) == coco


def test_unknown_profile_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="unknown profile 'nope'"):
        main(["--profile", "nope"])
    assert not list(tmp_path.iterdir())


def test_an_mlflow_that_does_not_answer_is_said_before_anything_is_made(tmp_path: Path):
    address = "http://me:secret@127.0.0.1:9"
    own = {"FINECAP_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": address}
    command = [sys.executable, "-m", "dagster_project.run", "--profile", "smoke"]
    done = subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.startswith("MLflow does not answer at http://127.0.0.1:9 (")
    assert "secret" not in done.stdout + done.stderr
    assert not (tmp_path / "artifacts").exists()


def test_dvc_tells_nobody_that_it_ran_and_asks_nobody_for_news(monkeypatch: pytest.MonkeyPatch):
    from dvc.config import Config

    monkeypatch.chdir(README.parent)
    monkeypatch.delenv("DVC_TEST", raising=False)
    core = Config.from_cwd()["core"]
    assert (core["analytics"], core["check_update"]) == (False, False)


@pytest.mark.slow
@pytest.mark.skipif("FINECAP_CRASHES" not in os.environ, reason="`make soak` does it, in minutes")
@pytest.mark.skipif(not offline.is_possible(), reason="this user may make no network namespace")
def test_make_run_needs_no_network(tmp_path: Path):
    """As it is started from a terminal: all steps in processes of their own."""
    command = offline.command("dagster_project.run", "--profile", "smoke")
    own = {"FINECAP_HOME": str(tmp_path)}
    done = subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert "all scores" in done.stdout, done.stderr
    assert offline.attempts(done.stdout) == []
