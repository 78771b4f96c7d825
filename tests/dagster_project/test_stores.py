"""What is wrong with home, stores, index and ports is found, and all is left as it was."""

import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project import stores
from dagster_project.home import Home
from dagster_project.versions import folder_md5
from finecap.config import load_profile
from tests.dagster_project.champions import Champions
from tests.dagster_project.findings import only
from tests.finecap.conftest import tiny

__all__ = ["tiny"]
SMOKE = load_profile("smoke")


def test_healthy_home_has_no_failure_and_is_left_as_it_was(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.run()
    before, *_ = folder_md5(home.path)
    found = [*stores.tracking(home), *stores.index(home)]
    assert [finding.state for finding in found] == ["ok", "ok"]
    assert found[0].said == "v2 is champion"
    assert found[1].said.endswith("captions of v2")
    assert folder_md5(home.path)[0] == before


def test_an_index_that_no_engine_answers_for_is_a_failure(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FINECAP_INDEX_URL", "mysql://me@host/name")
    found = only(stores.index(home), "fail")
    assert "expected postgresql://" in found.said
    assert "FINECAP_INDEX_URL" in found.fix


def test_champion_whose_files_are_gone_is_named(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("clip_s", 0.6)
    foreign = champions.registry.client.create_model_version("finecap-captioner", "file:///none")
    champions.registry.point("champion", str(foreign.version))
    found = only(stores.tracking(home), "fail")
    assert found.said == "the files of v2, the champion, are gone"


def test_damaged_store_is_named(home: Home):
    home.mlflow.mkdir(parents=True, exist_ok=True)
    home.tracking_store.write_bytes(
        b"not a database at all, but long enough to be read as one" * 99
    )
    assert "file is not a database" in only(stores.tracking(home), "fail").said


def test_model_that_is_not_the_builds_is_named(
    home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace
):
    champions = Champions(home, instance, tiny)
    champions.train("mle", 0.1)
    champions.train("clip_s", 0.6)
    champions.run()
    weights = next((home.artifacts / "champion").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert "is not the" in only(stores.index(home), "fail").said


def test_home_of_another_profile_is_named(tmp_path: Path):
    home = Home(tmp_path, tmp_path / "home")
    home.claim("scenes")
    found = only(stores.home_folder(home, SMOKE), "fail")
    assert "holds profile 'scenes', expected 'smoke'" in found.said


@pytest.mark.parametrize(("free", "state"), [(1e9, "fail"), (5e9, "warn"), (99e9, "ok")])
def test_little_disk_is_named(
    free: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    (found,) = stores.home_folder(Home(tmp_path, tmp_path), SMOKE)
    assert found.state == state


def test_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write anywhere
    found = only(stores.home_folder(Home(tmp_path, tmp_path), SMOKE), "fail")
    assert found.said.endswith("cannot be written: Permission denied")


def test_taken_port_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        found = only(
            stores.ports({"FINECAP_DAGSTER_PORT": port, "FINECAP_MLFLOW_PORT": "1"}), "warn"
        )
    assert found.said.startswith(f"Dagster's port {port} is taken")
