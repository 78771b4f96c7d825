"""Artifacts: whole or absent."""

import errno
import os
from pathlib import Path

import pytest

from dagster_project.artifacts import (
    MARKER,
    Artifact,
    ArtifactMissingError,
    ArtifactStore,
    NoSpaceError,
    is_no_space,
)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def make(store: ArtifactStore, text: str = "x", version: str = "v1") -> Artifact:
    with store.writing("scst/clip_s", version) as folder:
        (folder / "model").write_text(text)
        made = Artifact("scst/clip_s", folder, version, metrics={"reward": 1.5}, inputs={"a": "1"})
        return store.publish(folder, made)


def write_half(store: ArtifactStore, error: Exception) -> None:
    with store.writing("a", "v1") as folder:
        (folder / "half").write_text("x")
        raise error


def test_published_artifact_is_found_with_all_it_said(store: ArtifactStore):
    made = make(store)
    found = store.find("scst/clip_s", "v1")
    assert found == made
    assert found.metrics == {"reward": 1.5}
    assert found.path == store.root / "scst" / "clip_s" / "v1"
    assert (found.path / "model").read_text() == "x"


def test_folder_without_marker_is_no_artifact(store: ArtifactStore):
    made = make(store)
    (made.path / MARKER).unlink()
    assert store.find("scst/clip_s", "v1") is None
    with pytest.raises(ArtifactMissingError, match="materialize scst/clip_s again"):
        store.get("scst/clip_s", "v1")


def test_failed_writing_leaves_nothing(store: ArtifactStore):
    with pytest.raises(ValueError, match="NaN"):
        write_half(store, ValueError("NaN"))
    assert list((store.root / "a").iterdir()) == []


def test_what_a_killed_process_left_is_swept(store: ArtifactStore):
    dead = store.root / "a" / ".partial-v1-999999999-abc"
    dead.mkdir(parents=True)
    mine = store.root / "a" / f".partial-v1-{os.getpid()}-abc"
    mine.mkdir()
    with store.writing("a", "v2"):
        assert not dead.exists()
        assert mine.exists()


def test_making_a_version_again_replaces_it(store: ArtifactStore):
    make(store, "old")
    made = make(store, "new")
    assert (made.path / "model").read_text() == "new"
    assert [p.name for p in (store.root / "scst" / "clip_s").iterdir()] == ["v1"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
    ],
)
def test_full_disk_names_asset_and_folder(store: ArtifactStore, error: Exception):
    with pytest.raises(NoSpaceError, match="a: no space left") as caught:
        write_half(store, error)
    assert str(store.root / "a") in str(caught.value)
    assert list((store.root / "a").iterdir()) == []


def test_full_disk_is_seen_through_wrapping():
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")
    assert is_no_space(wrapped)
    assert not is_no_space(ValueError("other"))


def test_record_notes_content_that_lies_elsewhere(store: ArtifactStore, tmp_path: Path):
    store.record(Artifact("dataset", tmp_path / "data", "md5", data_md5="md5"))
    assert store.get("dataset", "md5").path == tmp_path / "data"
