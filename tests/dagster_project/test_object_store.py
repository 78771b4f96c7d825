"""A real S3-compatible store is asked; what is wrong is said, and no key."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project import object_store, up
from dagster_project.home import TRACKING_URI
from dagster_project.object_store import DESTINATION, ENDPOINT, ROOT, ObjectStoreError, destination
from dagster_project.served import EXPORT
from dagster_project.tracking import Tracker
from tests.dagster_project.findings import only
from tests.dagster_project.mlflow_server import MlflowServer
from tests.dagster_project.test_tracking_store import registered
from tests.remote_stores import Store, s3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with s3(tmp_path_factory.mktemp("s3") / "stored", "bucket") as store:
        yield store


def environ(store: Store, place: str = "s3://bucket/some/path") -> dict[str, str]:
    return {DESTINATION: place, **store.environment}


def test_store_that_lets_us_in_is_said_and_handed_on(store: Store, tmp_path: Path):
    asked = environ(store)
    assert only(object_store.examined(asked), "ok").said.endswith(
        "s3://bucket/some/path lets us in"
    )
    assert destination(tmp_path, asked) == "s3://bucket/some/path"


def test_clients_that_write_there_themselves_are_looked_after_too(store: Store):
    asked = {ROOT: "s3://nowhere", **store.environment}
    assert only(object_store.examined(asked), "fail").said.startswith(f"{ROOT}: bucket nowhere")


@pytest.mark.parametrize(
    ("other", "said", "fix"),
    [
        ({DESTINATION: "s3://nowhere/x"}, "bucket nowhere at http", "create the bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "a-secret"}, "answers SignatureDoesNotMatch", "mend AWS_ACC"),
        ({"AWS_ACCESS_KEY_ID": "a-secret"}, "answers InvalidAccessKeyId", "mend AWS_ACCESS_KEY_"),
        ({ENDPOINT: "http://me:a-secret@127.0.0.1:1"}, "127.0.0.1:1 does not answer", "start it"),
        ({ENDPOINT: "no-address"}, "does not answer (ValueError)", f"or mend {ENDPOINT}"),
        ({DESTINATION: "s3://me:a-secret@bucket"}, "names no bucket", "expected s3://BUCKET/PATH"),
        ({DESTINATION: "s3:bucket"}, "names no bucket", "expected s3://BUCKET/PATH"),
    ],
)
def test_what_is_wrong_is_said_without_a_key(
    store: Store, tmp_path: Path, other: dict[str, str], said: str, fix: str
):
    asked = {**environ(store), **other}
    found = only(object_store.examined(asked), "fail")
    assert said in found.said
    assert fix in found.fix
    with pytest.raises(ObjectStoreError) as caught:
        destination(tmp_path, asked)
    for text in (found.said, found.fix, str(caught.value)):
        assert "a-secret" not in text
        assert store.secret not in text


def test_keys_that_are_nowhere_are_asked_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    asked = {DESTINATION: "s3://bucket", ENDPOINT: store.endpoint}
    assert object_store.fault_of("s3://bucket", asked) == (
        "no keys to bucket bucket",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(object_store, "find_spec", lambda _: None)
    found = only(object_store.examined({DESTINATION: "s3://bucket"}), "fail")
    assert found.said.endswith("boto3 is not installed")
    assert found.fix == "pip install 'finecap[team]'"


@pytest.mark.parametrize("place", ["file:///somewhere", "gs://bucket/path"])
def test_other_places_are_mlflows_to_know(place: str, tmp_path: Path):
    assert destination(tmp_path, {DESTINATION: place}) == place
    assert not [*object_store.examined({DESTINATION: place})]


def test_without_a_wish_artifacts_stay_in_the_home(tmp_path: Path):
    assert destination(tmp_path / "a b", {}) == (tmp_path / "a b").as_uri()


def test_model_goes_through_the_server_to_the_store_and_comes_back_without_keys_here(
    store: Store, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in store.environment:
        monkeypatch.delenv(name, raising=False)
    server = MlflowServer(tmp_path, **environ(store))
    shutil.copy(empty_store, tmp_path)
    monkeypatch.setenv(TRACKING_URI, server.address)
    tracker = Tracker(tmp_path / "home" / "mlflow", "finecap-test", "run-1")
    try:
        server.start()
        version = registered(tracker, tmp_path)
        assert tracker.exported_files(version) == ["text"]
        tracker.download(version, tmp_path / "back")
    finally:
        server.kill()
    assert (tmp_path / "back" / "text").read_bytes() == (tmp_path / EXPORT / "text").read_bytes()
    assert list((store.folder / "bucket/some/path").rglob("text"))
    assert not server.artifacts.exists()
    assert store.secret not in (tmp_path / "server.log").read_text()


def test_stack_does_not_start_on_a_store_that_refuses(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name, value in environ(store, "s3://nowhere").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FINECAP_PROFILE", "smoke")
    monkeypatch.setattr(up, "check_ports", lambda _: None)
    monkeypatch.setattr(up, "prepare", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["up"])
    before = dict(up.os.environ)
    try:
        assert up.main(["--stack", "postgres"]) == 1
    finally:
        up.os.environ.clear()
        up.os.environ.update(before)
    said = capsys.readouterr().err
    assert said == (
        f"make up: {DESTINATION}: bucket nowhere at {store.endpoint} answers NoSuchBucket; "
        "create the bucket, or mend the address\n"
    )
