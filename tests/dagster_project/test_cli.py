"""The commands as a person types them: what they print, where, and with which exit code."""

import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml

from dagster_project.home import Home
from dagster_project.registry import CHAMPION
from dagster_project.run import prepare
from finecap import cli
from finecap.config import load_profile
from tests.dagster_project.champions import PROFILE, Champions
from tests.dagster_project.conftest import ROOT
from tests.finecap.conftest import tiny

__all__ = ["tiny"]


def in_a_process(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command on a home."""
    command = [sys.executable, "-m", "finecap.cli", *arguments]
    variables = {**os.environ, "FINECAP_HOME": str(home), **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_commands_that_join_are_those_of_the_project_file():
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name, where in content["project"]["entry-points"]["finecap.commands"].items():
        module, _, function = where.partition(":")
        assert getattr(import_module(module), function).__doc__, name


@pytest.fixture
def finecap(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """finecap(*arguments) runs the command in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("FINECAP_HOME", str(home.path))

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["finecap", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


def test_person_promotes_looks_and_rolls_back(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace, finecap
):
    champions = Champions(home, instance, tiny)
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.registry.point(CHAMPION, "2")
    code, out, err = finecap("promote", "1", "--reason", "reads better")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "v2 -> v1 (mle) is champion"
    assert "next: captions and index follow with the next run" in out
    assert finecap("promote", "v1")[1].startswith("v1 is champion already")
    code, out, _ = finecap("champion", "--history")
    assert code == 0
    assert "champion   v1\nvariant    mle\nbefore     v2\n" in out
    assert "why        reads better\nsearched   none\n" in out
    assert "v2 -> v1" in out.splitlines()[-2]
    assert finecap("rollback")[1].startswith("v1 -> v2 (clip_s) is champion")
    code, out, err = finecap("rollback")
    assert (code, out) == (1, "")
    assert err == "finecap: there is no champion before v2: its history begins with v2\n"
    code, out, err = finecap("promote", "7")
    assert (code, out) == (2, "")
    assert err.endswith("expected one of: v1 mle, v2 clip_s\n")
    said = json.loads(finecap("champion", "--history", "--json")[1])
    assert (said["champion"], said["searched"]) == ("2", "")
    assert [move["after"] for move in said["history"]] == ["2", "1", "2"]


def test_command_without_the_pipelines_packages_says_what_to_install(tmp_path: Path):
    code = (
        "import sys; sys.modules['mlflow'] = None; sys.argv = ['finecap', 'champion']\n"
        "from finecap.cli import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "mlflow is not installed" in ran.stderr
    assert "pip install 'finecap[pipeline]'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
def test_reindex_captions_and_indexes_with_the_version_at_once(
    home: Home, tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    others = [name for name in load_profile("smoke").scst if name != "clip_s"]
    content = {"extends": "smoke", "name": PROFILE, "optional": others}
    profile = tmp_path / "own.yaml"
    profile.write_text(yaml.safe_dump({**content, "captions": {"splits": ["test"]}}))
    prepare(home, load_profile(str(profile)))
    with dg.DagsterInstance.get() as instance:
        champions = Champions(home, instance, tiny)
        champions.train("mle", 0.1)
        champions.train("clip_s", 0.6)
        champions.run()
        assert champions.searched == "2"
    code, _, err = in_a_process(home.path, "promote", "1", "--reindex", FINECAP_PROFILE="")
    assert code == 1
    assert "holds profile 'test': set FINECAP_PROFILE to its YAML file" in err
    own = {"FINECAP_PROFILE": str(profile)}
    code, out, err = in_a_process(home.path, "promote", "1", "--reindex", **own)
    assert code == 0, err
    assert out.splitlines()[-1] == "captions and index are the champion's"
    assert champions.searched == "1"
    code, out, err = in_a_process(home.path, "rollback", "--reindex", **own)
    assert code == 0, err
    assert champions.searched == "2"
