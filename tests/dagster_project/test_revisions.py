"""What git and DVC know of the data: differences, and old versions beside the work tree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dvc.repo import Repo

from dagster_project import run
from dagster_project.data_cli import data, diff, lines, of_
from dagster_project.home import Home
from dagster_project.pointer import ensure_data, pointer_md5
from dagster_project.revisions import (
    Difference,
    RevisionError,
    at_revision,
    difference,
    fetch,
    in_work_tree,
    pinned_profile,
    revisions_of,
)
from dagster_project.versions import folder_md5
from finecap import cli
from finecap.cli import UsageError
from finecap.config import load_profile
from finecap.data.record_shards import write_shards
from finecap.data.records import Record, read_records, records_in


def git(root: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def save(root: Path, rows: dict[str, tuple[str, list[str], bytes]]) -> None:
    """The data folder with these images: split, captions, bytes."""
    shutil.rmtree(root / "data", ignore_errors=True)
    (root / "data" / "images").mkdir(parents=True)
    with (root / "data" / "captions.jsonl").open("w") as file:
        for name, (split, captions, content) in rows.items():
            row = {"image": f"images/{name}", "split": split, "captions": captions}
            file.write(json.dumps(row) + "\n")
            (root / "data" / "images" / name).write_bytes(content)


BEFORE = {
    "1.png": ("train", ["a boat", "the sea"], b"one"),
    "2.png": ("train", ["a cat"], b"two"),
    "3.png": ("val", ["a dog"], b"three"),
}
AFTER = {
    "1.png": ("train", ["a boat", "a red boat"], b"one"),
    "2.png": ("test", ["a cat"], b"two, retouched"),
    "4.png": ("val", ["a house"], b"four"),
}
CHANGED = Difference(
    images_added=["images/4.png"],
    images_removed=["images/3.png"],
    images_changed=["images/2.png"],
    captions_added={"images/1.png": ["a red boat"]},
    captions_removed={"images/1.png": ["the sea"]},
    split_moves={"images/2.png": ("train", "test")},
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two versions of the data, the second of them in the work tree."""
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    Repo.init(str(root))
    for number, rows in enumerate((BEFORE, AFTER)):
        save(root, rows)
        with Repo(str(root)) as repo:
            repo.add(str(root / "data"))
        git(root, "add", "-A")
        git(root, "commit", "-qm", f"version {number}")
    return root


def test_difference_names_images_captions_and_moves(root: Path):
    before, after = at_revision(root, root / "data", "HEAD~1"), in_work_tree(root / "data")
    assert difference(before, after) == CHANGED
    assert difference(before, at_revision(root, root / "data", "HEAD")) == CHANGED
    assert difference(after, after) == Difference()


def test_images_in_shards_change_with_their_tar_and_records_may_be_shards(tmp_path: Path):
    git(tmp_path, "init", "-q")
    Repo.init(str(tmp_path))
    names = ["images/0.tar/0.png", "images/1.tar/0.png"]
    for content in (b"before", b"after"):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        (tmp_path / "data" / "images").mkdir(parents=True)
        (tmp_path / "data" / "images" / "0.tar").write_bytes(b"same")
        (tmp_path / "data" / "images" / "1.tar").write_bytes(content)
        split = "val" if content == b"after" else "train"
        records = [Record(name, split, ("a boat",)) for name in names]
        write_shards(tmp_path / "data" / "captions", records)
        with Repo(str(tmp_path)) as repo:
            repo.add(str(tmp_path / "data"))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", content.decode())
    before = at_revision(tmp_path, tmp_path / "data", "HEAD~1")
    moves = dict.fromkeys(names, ("train", "val"))
    expected = Difference(images_changed=names[1:], split_moves=moves)
    assert difference(before, in_work_tree(tmp_path / "data")) == expected
    fetched = fetch(tmp_path, tmp_path / "data", "HEAD~1", tmp_path / "kept")
    assert {record.split for record in read_records(records_in(fetched))} == {"train"}


def test_lines_are_counted_and_cut():
    many = Difference(images_added=[f"{n}.png" for n in range(5)])
    assert list(lines(many, 2))[:4] == [
        "images added      5",
        "    0.png",
        "    1.png",
        "    ... and 3 more",
    ]
    assert len(list(lines(many, 0))) == 6
    assert "    images/2.png: train -> test" in list(lines(CHANGED, 10))


def test_an_old_version_comes_beside_the_work_tree_once(root: Path, tmp_path: Path):
    before = git(root, "status", "--porcelain"), folder_md5(root / "data")
    found = fetch(root, root / "data", "HEAD~1", tmp_path)
    assert (found / "images" / "3.png").read_bytes() == b"three"
    (found / "mark").write_text("kept")
    assert fetch(root, root / "data", "HEAD~1", tmp_path) == found
    assert (found / "mark").is_file()
    assert (git(root, "status", "--porcelain"), folder_md5(root / "data")) == before


def test_a_profile_on_old_data_passes_the_check_of_its_pointer(root: Path, tmp_path: Path):
    found = fetch(root, root / "data", "HEAD~1", tmp_path)
    profile = load_profile(str(pinned_profile("smoke", "smoke", found)))
    assert profile.mle == load_profile("smoke").mle
    folder, pointer = Path(profile.data.folder), Path(profile.data.pointer)
    md5 = ensure_data(folder, pointer, tmp_path / "cache.json", None, lambda _: None)
    assert md5 == pointer_md5(pointer)
    committed = yaml.safe_load(git(root, "show", "HEAD~1:data.dvc"))
    assert committed["outs"][0]["md5"] == md5


def test_run_trains_on_the_data_of_a_revision(root: Path, tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: smoke\nname: own\ndata: {folder: data, pointer: data.dvc}\n")
    home = Home(root, tmp_path / "var")
    file = run.pinned(load_profile(str(own)), str(own), home, "HEAD~1")
    profile = load_profile(str(file))
    assert (profile.name, profile.data.drawn) == ("own", False)
    assert (Path(profile.data.folder) / "images" / "3.png").is_file()
    assert run._options(["--data-rev", "HEAD~1"]).data_rev == "HEAD~1"


def test_revisions_that_are_none_or_have_no_data_say_so(root: Path, tmp_path: Path):
    with pytest.raises(RevisionError, match=r"nope: unknown Git revision.*git log -- data\.dvc"):
        at_revision(root, root / "data", "nope")
    with pytest.raises(RevisionError, match="photos at HEAD can be had neither from"):
        at_revision(root, root / "photos", "HEAD")
    with pytest.raises(RevisionError, match="photos at HEAD can be had neither from"):
        fetch(root, root / "photos", "HEAD", tmp_path)


def test_data_that_no_cache_has_say_so(root: Path, tmp_path: Path):
    copy = tmp_path / "clone"
    shutil.copytree(root, copy)
    shutil.rmtree(copy / ".dvc" / "cache")
    with pytest.raises(RevisionError, match=r"data at HEAD~1 can be had .*dvc fetch -A"):
        fetch(copy, copy / "data", "HEAD~1", tmp_path / "into")
    with pytest.raises(RevisionError, match=r"data at HEAD~1 can be had .*dvc fetch -A"):
        at_revision(copy, copy / "data", "HEAD~1")


def test_a_folder_that_is_in_no_commit_of_the_project_says_so(root: Path, tmp_path: Path):
    with pytest.raises(RevisionError, match=r"photos lies outside .*expected a folder in it"):
        at_revision(root, tmp_path / "photos", "HEAD")


def test_command_prints_lines_or_json(root: Path, tmp_path: Path, monkeypatch, capsys):
    own = tmp_path / "own.yaml"
    own.write_text("extends: smoke\nname: own\ndata: {folder: data, pointer: data.dvc}\n")
    monkeypatch.setenv("FINECAP_PROFILE", str(own))
    monkeypatch.setattr("dagster_project.data_cli.home_of", lambda _: SimpleNamespace(root=root))
    diff("HEAD~1", to=None, folder=None, limit=10, as_json=False)
    assert "images added      1\n    images/4.png\n" in capsys.readouterr().out
    diff("HEAD~1", to="HEAD", folder=root / "data", limit=10, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["split_moves"] == {"images/2.png": ["train", "test"]}
    monkeypatch.setattr(cli, "app", data)
    monkeypatch.setattr(cli, "add_plugins", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["finecap", "diff", "nope"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("finecap: nope: unknown Git revision")


def test_a_registered_captioner_says_what_it_was_trained_on(
    root: Path, home: Home, monkeypatch, capsys
):
    md5 = str(pointer_md5(root / "data.dvc"))
    versions = {"3": SimpleNamespace(tags={"data_md5": md5, "variant": "clip_s"})}
    registry = SimpleNamespace(versions=lambda: versions, champion="3")
    desk = SimpleNamespace(home=Home(root, home.path), registry=registry)
    monkeypatch.setattr("dagster_project.by_hand.Desk", lambda _: desk)
    of_("champion", images=True)
    model, data_md5, commit, *images = capsys.readouterr().out.splitlines()
    assert (model, data_md5) == ("model  v3 (clip_s)", f"md5    {md5}")
    assert commit.endswith(" version 1")
    assert images[0].split("\t")[:2] == ["images/1.png", "train"]
    assert len(images) == 3
    with pytest.raises(UsageError, match="no version v7, expected champion or one of v3"):
        of_("v7")
    versions["3"].tags["data_md5"] = "0" * 32 + ".dir"
    of_("3", images=False)
    assert "commit none: no commit of data.dvc names this md5" in capsys.readouterr().out
    with pytest.raises(UsageError, match="without a commit its images cannot be looked up"):
        of_("3", images=True)


def test_every_commit_that_names_a_version_is_found(root: Path):
    first = yaml.safe_load(git(root, "show", "HEAD~1:data.dvc"))["outs"][0]["md5"]
    [commit] = revisions_of(root, root / "data.dvc", first)
    assert commit.startswith(git(root, "rev-parse", "HEAD~1")[:12])
    assert commit.endswith("version 0")
    assert revisions_of(root, root / "other.dvc", first) == []
