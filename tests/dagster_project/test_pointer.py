"""The data pointer: use, draw, pull, or stop with what to do; never overwrite."""

import time
from pathlib import Path

import pytest
import yaml

from dagster_project import pointer
from dagster_project.pointer import (
    DataMismatchError,
    PointerError,
    cached_md5,
    ensure_data,
    pointer_md5,
)


def draw(folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_bytes(b"picture")
    (folder / "captions.jsonl").write_text("{}\n")


def silent(_: str) -> None:
    """Say nothing."""


def ensure(root: Path, drawing=draw) -> str:
    return ensure_data(root / "data", root / "data.dvc", root / "cache.json", drawing, silent)


def test_missing_folder_is_drawn_and_a_pointer_written(tmp_path: Path):
    md5 = ensure(tmp_path)
    assert pointer_md5(tmp_path / "data.dvc") == md5
    entry = yaml.safe_load((tmp_path / "data.dvc").read_text())["outs"][0]
    assert (entry["nfiles"], entry["path"], entry["hash"]) == (2, "data", "md5")


def test_drawn_folder_must_match_the_pointer(tmp_path: Path):
    md5 = ensure(tmp_path)
    pointer.write_pointer(tmp_path / "data.dvc", tmp_path / "data", "0" * 32 + ".dir", 1, 1)
    with pytest.raises(DataMismatchError, match=md5) as caught:
        ensure(tmp_path)
    for needed in ("0" * 32, "delete", "dvc checkout", "dvc pull", "data.dvc"):
        assert needed in str(caught.value)


def test_changed_file_is_found_and_left_alone(tmp_path: Path):
    ensure(tmp_path)
    time.sleep(0.01)  # a change of the same size must show in the time
    (tmp_path / "data" / "images" / "1.png").write_bytes(b"pictuRe")
    with pytest.raises(DataMismatchError, match="names"):
        ensure(tmp_path)
    assert (tmp_path / "data" / "images" / "1.png").read_bytes() == b"pictuRe"


def test_missing_folder_that_cannot_be_drawn_names_the_remedy(tmp_path: Path):
    with pytest.raises(DataMismatchError, match="Configure a DVC remote"):
        ensure(tmp_path, drawing=None)


def test_failed_drawing_leaves_nothing_behind(tmp_path: Path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("pen broke")

    with pytest.raises(RuntimeError, match="pen broke"):
        ensure(tmp_path, fail)
    assert not list(tmp_path.iterdir())


def test_second_look_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = ensure(tmp_path)
    monkeypatch.setattr(pointer, "folder_md5", lambda _: pytest.fail("hashed again"))
    assert ensure(tmp_path) == first


def test_cache_notices_an_added_file(tmp_path: Path):
    ensure(tmp_path)
    before = cached_md5(tmp_path / "data", tmp_path / "cache.json")
    (tmp_path / "data" / "new").write_text("x")
    assert cached_md5(tmp_path / "data", tmp_path / "cache.json")[0] != before[0]


@pytest.mark.parametrize("text", ["outs: []", "{", "outs:\n- md5: abc\n", "7"])
def test_damaged_pointer_is_refused_by_name(tmp_path: Path, text: str):
    (tmp_path / "data.dvc").write_text(text)
    with pytest.raises(PointerError, match=r"data\.dvc"):
        pointer_md5(tmp_path / "data.dvc")


@pytest.fixture
def repo_with_remote(tmp_path: Path):
    from dvc.repo import Repo

    root = tmp_path / "repo"
    root.mkdir()
    (root / "data").mkdir()
    draw(root / "data")
    with Repo.init(str(root), no_scm=True) as repo:
        with repo.config.edit() as config:
            config["remote"]["store"] = {"url": str(tmp_path / "remote")}
            config["core"]["remote"] = "store"
        repo.add([str(root / "data")])
        repo.push()
    return root


def remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def test_missing_folder_is_pulled_from_the_remote(repo_with_remote: Path):
    remove(repo_with_remote / "data")
    remove(repo_with_remote / ".dvc" / "cache")
    ensure(repo_with_remote, drawing=None)
    assert (repo_with_remote / "data" / "images" / "1.png").read_bytes() == b"picture"


def test_folder_that_dvc_added_matches_its_pointer(repo_with_remote: Path):
    assert ensure(repo_with_remote) == pointer_md5(repo_with_remote / "data.dvc")


def test_lost_remote_falls_back_to_drawing_and_is_verified(repo_with_remote: Path):
    remove(repo_with_remote / "data")
    remove(repo_with_remote / ".dvc" / "cache")
    remove(repo_with_remote.parent / "remote")
    assert ensure(repo_with_remote) == pointer_md5(repo_with_remote / "data.dvc")


def forget(root: Path) -> Path:
    """Leave the remote alone with the data; the object of the picture there."""
    remove(root / "data")
    remove(root / ".dvc" / "cache")
    remote = (root.parent / "remote").rglob("*")
    return next(f for f in remote if f.is_file() and f.read_bytes() == b"picture")


def test_corrupt_object_of_the_remote_is_named_and_never_becomes_data(repo_with_remote: Path):
    stored = forget(repo_with_remote)
    stored.chmod(0o644)
    stored.write_bytes(b"garbage")
    md5 = stored.parent.name + stored.name
    said = rf"images/1.png \(object {md5}\) is corrupt; what was fetched was removed"
    with pytest.raises(DataMismatchError, match=said):
        ensure(repo_with_remote, drawing=None)
    assert not (repo_with_remote / "data").exists()
    stored.write_bytes(b"picture")
    ensure(repo_with_remote, drawing=None)  # the local cache kept nothing of it
    assert (repo_with_remote / "data" / "images" / "1.png").read_bytes() == b"picture"


def test_object_that_the_remote_lost_is_named(repo_with_remote: Path):
    stored = forget(repo_with_remote)
    stored.unlink()
    with pytest.raises(DataMismatchError, match=f"failed to transfer '{stored.parent.name}"):
        ensure(repo_with_remote, drawing=None)
    assert not (repo_with_remote / "data").exists()


def test_remote_that_is_gone_is_said(repo_with_remote: Path):
    forget(repo_with_remote)
    remove(repo_with_remote.parent / "remote")
    with pytest.raises(DataMismatchError, match=r"cannot be had: dvc pull: .* Configure a DVC"):
        ensure(repo_with_remote, drawing=None)
    assert not (repo_with_remote / "data").exists()
