"""The doctor tells all it finds, whatever goes wrong, and makes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project import doctor, stores
from dagster_project.findings import Finding
from dagster_project.home import Home
from finecap.config import load_profile
from tests.dagster_project.findings import only

SMOKE = load_profile("smoke")


def test_new_home_is_fine_but_for_the_index(tmp_path: Path):
    home = Home(Path(__file__).resolve().parents[2], tmp_path / "new")
    found = list(doctor.examined(home, SMOKE, {}))
    assert not [finding for finding in found if finding.state == "fail"]
    assert only(stores.index(home), "warn").fix == "`make run`"
    assert not home.path.exists()


def test_what_nobody_foresaw_is_a_finding_and_the_rest_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(_: object) -> Iterator[Finding]:
        raise KeyError("what")

    monkeypatch.setattr(stores, "tracking", broken)
    found = list(doctor.examined(Home(tmp_path, tmp_path / "home"), SMOKE, {}))
    assert Finding("mlflow", "fail", "KeyError: 'what'") in found
    assert found[-1].name in {"index", "ports"}
