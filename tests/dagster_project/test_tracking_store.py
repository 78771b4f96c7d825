"""MLflow wherever it is: the home's own, a server that is shared, one that does not answer."""

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dagster_project import stores, tracking_store
from dagster_project.by_hand import Desk, NotMovedError
from dagster_project.compared import CAPTIONER
from dagster_project.history import Actor, Kind
from dagster_project.home import TRACKING_URI, Home
from dagster_project.registry import Registry
from dagster_project.served import EXPORT, Model, model_of
from dagster_project.tracking import Tracker
from dagster_project.tracking_store import (
    MlflowUnreachableError,
    OtherProfileError,
    TrackingStore,
    check_answers,
    has_begun,
)
from tests.dagster_project.conftest import ROOT
from tests.dagster_project.mlflow_server import MlflowServer
from tests.dagster_project.own_postgres import running
from tests.dagster_project.test_tracking import DATA, WRAPPER


@pytest.fixture
def shared(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tracker]:
    """A home without a store of its own."""
    monkeypatch.setenv(TRACKING_URI, server.address)
    tracker = Tracker(tmp_path / "home" / "mlflow", "finecap-test", tmp_path.name)
    yield tracker
    for model in tracker.client.search_registered_models():
        tracker.client.delete_registered_model(model.name)


def registered(tracker: Tracker, folder: Path, profile: str = "test"):
    """A version of a model that says what its file does."""
    exported = folder / EXPORT
    exported.mkdir(exist_ok=True)
    (exported / "text").write_text("a red boat")
    code = folder / "echo.py"
    code.write_text(WRAPPER)
    signature = model_of("x", "x", "captioner", folder).signature
    with tracker.child("mle", {"lr": 0.1}, {}, data=DATA) as run:
        run.log(0, {"loss": 1.0})
    model = Model(CAPTIONER, "mle", code, signature)
    about = {"data_version": "v1", "profile": profile}
    return tracker.register(model, run.run_id, exported, about)


def test_a_model_is_registered_read_back_and_loaded_through_the_server(
    shared: Tracker, server: MlflowServer, tmp_path: Path
):
    import mlflow

    version = registered(shared, tmp_path)
    assert shared.version(CAPTIONER, "v1", version.run_id) == version
    assert shared.exported_files(version) == ["text"]
    shared.download(version, tmp_path / "back")
    assert (tmp_path / "back" / "text").read_text() == "a red boat"
    with shared.fluent():
        model = mlflow.pyfunc.load_model(f"models:/{CAPTIONER}/{version.version}")
    assert model.predict(["a.png"]) == ["a red boat"]
    shared.add_scores(version, {"val/cider": 1.0, "test/cider": 2.0}, DATA)
    shared.pipeline.attach(tmp_path, ["echo.py"], "about")
    run = shared.client.get_run(version.run_id)
    assert run.data.metrics == {"loss": 1.0, "val/cider": 1.0, "test/cider": 2.0}
    assert shared.client.get_run(run.data.tags["mlflow.parentRunId"]).info.status == "RUNNING"
    assert list(server.artifacts.rglob("text"))
    assert list(server.artifacts.rglob("leaderboard/echo.py"))
    assert {file.name for file in shared.folder.iterdir()} == {".lock", ".id"}


def test_champion_is_moved_and_read_through_the_server(shared: Tracker, tmp_path: Path):
    version = registered(shared, tmp_path)
    registry, me = Registry(shared), Actor("me", "finecap promote", is_person=True)
    registry.move(Kind.PROMOTION, "", version.version, me, "reads better")
    home = Home(ROOT, tmp_path / "home")
    assert Desk(home).described("")["why"] == "reads better"
    (finding,) = stores.tracking(home)
    assert (finding.state, finding.said) == ("ok", f"v{version.version} is champion")


def test_links_lead_to_the_server_without_its_password(
    shared: Tracker, server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    named = server.address.replace("//", "//me:secret@")
    monkeypatch.setenv(TRACKING_URI, named)
    tracker = Tracker(shared.folder, "finecap-test", "run-1")
    assert tracker.page("abc").startswith(f"{server.address}/#/experiments/")
    assert tracker.place == server.address
    monkeypatch.setenv("FINECAP_MLFLOW_UI", "https://mlflow.example/")
    assert tracker.page("abc").startswith("https://mlflow.example/#/experiments/")
    monkeypatch.setenv(TRACKING_URI, server.address)
    with pytest.raises(NotMovedError, match=f"no captioner is registered in {server.address}:"):
        Desk(Home(ROOT, tmp_path / "home"))


def test_two_homes_that_begin_at_once_share_one_experiment(shared: Tracker, tmp_path: Path):
    def begin(number: int) -> str:
        return Tracker(tmp_path / str(number), "finecap-new", "run-1").experiment_id

    assert shared.is_shared
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(begin, range(4)))) == 1


def test_a_registry_of_another_profile_is_refused_before_anything_is_tracked(
    shared: Tracker, tmp_path: Path
):
    registered(shared, tmp_path)
    other = Tracker(shared.folder, "finecap-smoke", "run-2")
    said = "holds the models of profile 'test', expected 'smoke': give each profile a server"
    with pytest.raises(OtherProfileError, match=said), other.child("mle", {}, {}):
        pass
    assert shared.client.get_experiment_by_name("finecap-smoke") is None


def test_mlflows_global_address_is_as_it_was_after_each_use(
    shared: Tracker, server: MlflowServer, home: Home, monkeypatch: pytest.MonkeyPatch
):
    with shared.fluent():
        pass
    assert os.environ[TRACKING_URI] == server.address
    monkeypatch.delenv(TRACKING_URI)
    own = TrackingStore(home.mlflow)
    with own.fluent():
        assert os.environ[TRACKING_URI] == own.uri
    assert TRACKING_URI not in os.environ


def test_a_shared_database_keeps_its_artifacts_in_the_home_or_where_it_is_said(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TRACKING_URI, f"sqlite:///{home.mlflow / 'mlflow.db'}")
    tracker = Tracker(tmp_path / "other home", "finecap-test", "run-1")
    version = registered(tracker, tmp_path)
    assert list((tmp_path / "other home" / "artifacts").rglob("text"))
    assert tracker.client.get_model_version(CAPTIONER, version.version).run_id == version.run_id
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/finecap")
    assert tracker.artifact_root == "s3://bucket/finecap"


@pytest.mark.slow
def test_a_postgresql_serves_homes_by_itself_and_behind_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Either driver reads what the other wrote; the address holds no password."""
    with running() as own:
        monkeypatch.setenv(TRACKING_URI, own.url("postgres"))
        direct = Tracker(tmp_path / "home" / "mlflow", "finecap-test", "run-1")
        found = {"1": registered(direct, tmp_path).run_id}
        assert list((direct.folder / "artifacts").rglob("text"))
        address = own.url("postgres", "postgresql+psycopg2")
        server = MlflowServer(tmp_path, address)
        try:
            server.start()
            for number, uri in enumerate((server.address, address)):
                monkeypatch.setenv(TRACKING_URI, uri)
                tracker = Tracker(tmp_path / str(number) / "mlflow", "finecap-test", "run-2")
                champion = Registry(tracker).champion
                registry, me = Registry(tracker), Actor("me", "finecap promote", is_person=True)
                second = registered(tracker, tmp_path)
                registry.move(Kind.PROMOTION, champion, str(second.version), me, "newer")
                assert tracker.client.get_run(second.run_id).data.metrics == {"loss": 1.0}
                tracker.download(second, tmp_path / f"back {number}")
                found[str(second.version)] = second.run_id
        finally:
            server.kill()
        moves = [(move.before, move.after) for move in Registry(direct).history()]
        assert moves == [("", "2"), ("2", "3")]
        versions = {n: direct.version(CAPTIONER, "v1", run_id) for n, run_id in found.items()}
        assert {n: str(version.version) for n, version in versions.items()} == {n: n for n in "123"}


def test_a_driver_that_is_missing_is_named_with_what_mends_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracking_store, "find_spec", lambda _: None)
    said = (
        r"its driver psycopg is not installed: .*'finecap\[postgres\]', or .*postgresql\+psycopg2:"
    )
    with pytest.raises(MlflowUnreachableError, match=said) as refused:
        check_answers("postgresql://me:secret@127.0.0.1/x")
    assert "secret" not in str(refused.value)


def test_what_was_tracked_is_known_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert not has_begun(tmp_path)
    monkeypatch.setenv(TRACKING_URI, "http://127.0.0.1:1")
    assert has_begun(tmp_path)


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_nobody_at_the_address_is_said_within_seconds(
    scheme: str, home: Home, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv(TRACKING_URI, f"{scheme}://me:secret@{place}/x")
    started = time.monotonic()
    with pytest.raises(MlflowUnreachableError) as refused:
        _ = Tracker(home.mlflow, "finecap-test", "run-1").client
    assert time.monotonic() - started < 10
    said = str(refused.value)
    assert f"MLflow does not answer at {scheme}://{place}/x" in said
    assert "refused" in said
    assert "secret" not in said


def test_a_server_that_takes_the_call_and_says_nothing_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("dagster_project.tracking_store.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MlflowUnreachableError, match="timed out"):
            check_answers(address)
