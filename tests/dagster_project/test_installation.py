"""What is installed and set, and what is wrong with it."""

import re
from pathlib import Path

import pytest

from dagster_project import installation
from finecap.config import load_profile
from tests.dagster_project.findings import only

SMOKE = load_profile("smoke")


def test_missing_and_wrong_packages_are_named(monkeypatch: pytest.MonkeyPatch):
    wanted = ["torch==0.1", "no-such-package>=1", "numpy", "other>=1; extra == 'metrics'"]
    monkeypatch.setattr(installation.metadata, "requires", lambda _: wanted)
    said = [finding.said for finding in installation.packages()]
    assert said[0].startswith("torch is ")
    assert said[0].endswith("expected ==0.1")
    assert said[1:] == ["no-such-package is not installed"]


def test_installation_that_runs_these_tests_is_fine():
    assert [finding.state for finding in installation.packages()] == ["ok"]
    assert [finding.state for finding in installation.python()] == ["ok"]


def test_slip_in_a_variable_is_named():
    found = only(installation.environment({"FINECAP_PROFIL": "x", "FINECAP_HOME": "y"}), "warn")
    assert found.said == "FINECAP_PROFIL is set, and read by nothing"


def test_file_that_a_profile_names_and_is_not_there_is_named():
    clip = SMOKE.base_clip.model_copy(update={"timm_checkpoint": "/nowhere.safetensors"})
    found = only(installation.files_of(SMOKE.model_copy(update={"base_clip": clip})), "fail")
    assert found.said == "base_clip.timm_checkpoint names /nowhere.safetensors, which is not there"


def test_variables_are_those_that_are_read():
    root = Path(__file__).resolve().parents[2]
    read = [*root.glob("src/**/*.py"), *root.glob("dagster_project/**/*.py"), root / ".ci/setup"]
    text = "".join(file.read_text() for file in read if file.name != "installation.py")
    text += "".join(file.read_text() for file in (root / "mlflow").glob("*.py"))
    assert set(re.findall(r"FINECAP_[A-Z_]+[A-Z]", text)) == installation.VARIABLES
