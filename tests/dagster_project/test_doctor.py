"""The doctor finds what is wrong, names what mends it, and leaves everything as it was."""

import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project import doctor
from dagster_project.doctor import Finding
from dagster_project.home import Home
from dagster_project.versions import folder_md5
from finecap.config import load_profile
from tests.dagster_project.champions import Champions
from tests.finecap.conftest import tiny

__all__ = ["tiny"]
SMOKE = load_profile("smoke")


def only(findings: Iterator[Finding], state: str) -> Finding:
    """The one finding of that state."""
    (found,) = [finding for finding in findings if finding.state == state]
    return found


def test_healthy_home_has_no_failure_and_is_left_as_it_was(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.run()
    before, *_ = folder_md5(home.path)
    found = [*doctor.tracking(home), *doctor.index(home)]
    assert [finding.state for finding in found] == ["ok", "ok"]
    assert found[0].said == "v2 is champion"
    assert found[1].said.endswith("captions of v2")
    assert folder_md5(home.path)[0] == before


def test_an_index_that_no_engine_answers_for_is_a_failure(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FINECAP_INDEX_URL", "mysql://me@host/name")
    found = only(doctor.index(home), "fail")
    assert "expected postgresql://" in found.said
    assert "FINECAP_INDEX_URL" in found.fix


def test_new_home_is_fine_but_for_the_index(tmp_path: Path):
    home = Home(Path(__file__).resolve().parents[2], tmp_path / "new")
    found = list(doctor.examined(home, SMOKE, {}))
    assert not [finding for finding in found if finding.state == "fail"]
    assert only(doctor.index(home), "warn").fix == "`make run`"
    assert not home.path.exists()


def test_champion_whose_files_are_gone_is_named(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("clip_s", 0.6)
    foreign = champions.registry.client.create_model_version("finecap-captioner", "file:///none")
    champions.registry.point("champion", str(foreign.version))
    found = only(doctor.tracking(home), "fail")
    assert found.said == "the files of v2, the champion, are gone"


def test_damaged_store_is_named(home: Home):
    home.mlflow.mkdir(parents=True, exist_ok=True)
    home.tracking_store.write_bytes(
        b"not a database at all, but long enough to be read as one" * 99
    )
    assert "file is not a database" in only(doctor.tracking(home), "fail").said


def test_model_that_is_not_the_builds_is_named(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.run()
    weights = next((home.artifacts / "champion").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert "is not the" in only(doctor.index(home), "fail").said


def test_home_of_another_profile_is_named(tmp_path: Path):
    home = Home(tmp_path, tmp_path / "home")
    home.claim("scenes")
    found = only(doctor.home_folder(home, SMOKE), "fail")
    assert "holds profile 'scenes', expected 'smoke'" in found.said


@pytest.mark.parametrize(("free", "state"), [(1e9, "fail"), (5e9, "warn"), (99e9, "ok")])
def test_little_disk_is_named(
    free: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    (found,) = doctor.home_folder(Home(tmp_path, tmp_path), SMOKE)
    assert found.state == state


def test_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write anywhere
    found = only(doctor.home_folder(Home(tmp_path, tmp_path), SMOKE), "fail")
    assert found.said.endswith("cannot be written: Permission denied")


def test_missing_and_wrong_packages_are_named(monkeypatch: pytest.MonkeyPatch):
    wanted = ["torch==0.1", "no-such-package>=1", "numpy", "other>=1; extra == 'metrics'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: wanted)
    said = [finding.said for finding in doctor.packages()]
    assert said[0].startswith("torch is ")
    assert said[0].endswith("expected ==0.1")
    assert said[1:] == ["no-such-package is not installed"]


def test_installation_that_runs_these_tests_is_fine():
    assert [finding.state for finding in doctor.packages()] == ["ok"]
    assert [finding.state for finding in doctor.python()] == ["ok"]


def test_slip_in_a_variable_is_named():
    found = only(doctor.environment({"FINECAP_PROFIL": "x", "FINECAP_HOME": "y"}), "warn")
    assert found.said == "FINECAP_PROFIL is set, and read by nothing"


def test_file_that_a_profile_names_and_is_not_there_is_named():
    clip = SMOKE.base_clip.model_copy(update={"timm_checkpoint": "/nowhere.safetensors"})
    found = only(doctor.files_of(SMOKE.model_copy(update={"base_clip": clip})), "fail")
    assert found.said == "base_clip.timm_checkpoint names /nowhere.safetensors, which is not there"


def test_taken_port_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        found = only(
            doctor.ports({"FINECAP_DAGSTER_PORT": port, "FINECAP_MLFLOW_PORT": "1"}), "warn"
        )
    assert found.said.startswith(f"Dagster's port {port} is taken")


def test_what_nobody_foresaw_is_a_finding_and_the_rest_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(_: object) -> Iterator[Finding]:
        raise KeyError("what")

    monkeypatch.setattr(doctor, "tracking", broken)
    found = list(doctor.examined(Home(tmp_path, tmp_path / "home"), SMOKE, {}))
    assert Finding("mlflow", "fail", "KeyError: 'what'") in found
    assert found[-1].name in {"index", "ports"}


def test_variables_are_those_that_are_read():
    root = Path(__file__).resolve().parents[2]
    read = [*root.glob("src/**/*.py"), *root.glob("dagster_project/**/*.py"), root / ".ci/setup"]
    text = "".join(file.read_text() for file in read if file.name != "doctor.py")
    text += "".join(file.read_text() for file in (root / "mlflow").glob("*.py"))
    assert set(re.findall(r"FINECAP_[A-Z_]+[A-Z]", text)) == doctor.VARIABLES
