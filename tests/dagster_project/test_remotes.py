"""Versions of the data on real S3 and SSH servers: pushed, had again, trained on, and refused."""

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from dvc.repo import Repo

from dagster_project.pointer import DataMismatchError, ensure_data, pointer_md5
from dagster_project.remotes import reasons, refusals
from dagster_project.revisions import RevisionError, at_revision, fetch
from tests.remote_stores import Store, s3, sftp

ROW = '{"image": "images/1.png", "split": "train", "captions": ["a boat"]}\n'
PUSH_S = 120
KINDS = ("s3", "ssh")


@dataclass(frozen=True)
class Team:
    """A repository with two versions of its data, both in the remote alone."""

    store: Store
    origin: Path
    wrong: dict[str, str]  # settings of the remote with which nobody is let in
    gone: dict[str, str]  # those with which nobody answers
    empty: dict[str, str]  # those with which nothing is there

    def clone(self, to: Path) -> Path:
        """The repository on another machine, which has none of the data."""
        shutil.copytree(self.origin, to)
        return to


def git(root: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def dvc(root: Path, *words: str) -> None:
    """As a person does it."""
    program = Path(sys.executable).with_name("dvc")
    asked = subprocess.run(
        [program, *words], cwd=root, capture_output=True, text=True, check=False, timeout=PUSH_S
    )
    assert asked.returncode == 0, asked.stderr


def configure(root: Path, **settings: str) -> None:
    """Settings of the remote that are this machine's own."""
    with Repo(str(root)) as repo, repo.config.edit("local") as config:
        config["remote"].setdefault("store", {}).update(settings)


def save(root: Path, content: bytes) -> None:
    shutil.rmtree(root / "data", ignore_errors=True)
    (root / "data" / "images").mkdir(parents=True)
    (root / "data" / "images" / "1.png").write_bytes(content)
    (root / "data" / "captions.jsonl").write_text(ROW)


def origin_of(root: Path, url: str, ours: dict[str, str], own: dict[str, str]) -> Path:
    """Two versions of the data, pushed to the remote of that address; no copy is left here."""
    root.mkdir()
    git(root, "init", "-q")
    Repo.init(str(root)).close()
    with Repo(str(root)) as repo, repo.config.edit() as config:
        config["remote"]["store"] = {"url": url, **ours}
        config["core"]["remote"] = "store"
    configure(root, **own)
    for content in (b"one", b"two"):
        save(root, content)
        dvc(root, "add", "--quiet", "data")
        git(root, "add", "-A")
        git(root, "commit", "-qm", content.decode())
    dvc(root, "push", "--quiet", "--all-commits")
    shutil.rmtree(root / "data")
    shutil.rmtree(root / ".dvc" / "cache")
    return root


@pytest.fixture(scope="module", params=KINDS)
def team(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # no keys of the user's
        if request.param == "s3":
            store = stack.enter_context(s3(folder / "stored", "bucket"))
            ours, url = {"endpointurl": store.endpoint}, "s3://bucket/dvc"
            own = {"access_key_id": store.user, "secret_access_key": store.secret}
            wrong, gone = {"secret_access_key": "wrong"}, {"endpointurl": "http://127.0.0.1:1"}
            empty = {"url": "s3://elsewhere/dvc"}
        else:
            for name in ("key", "other"):
                asyncssh.generate_private_key("ssh-ed25519").write_private_key(folder / name)
            asyncssh.read_private_key(folder / "key").write_public_key(folder / "key.pub")
            store = stack.enter_context(sftp(folder / "stored", folder / "key.pub"))
            ours, url = {"user": store.user}, f"ssh://127.0.0.1:{store.port}/dvc"
            own, wrong = {"keyfile": str(folder / "key")}, {"keyfile": str(folder / "other")}
            gone, empty = {"url": "ssh://127.0.0.1:1/dvc"}, {"url": url.replace("/dvc", "/empty")}
        yield Team(store, origin_of(folder / "origin", url, ours, own), wrong, gone, empty)


def pull(root: Path) -> str:
    """As a run begins."""
    folder, said = root / "data", list[str]()
    md5 = ensure_data(folder, root / "data.dvc", root / "cache.json", None, said.append)
    assert said == ["fetched data by data.dvc"]
    return md5


def fetched(root: Path) -> Path:
    """As `--data-rev HEAD~1` begins."""
    return fetch(root, root / "data", "HEAD~1", root / "kept")


def test_another_machine_has_the_data_and_its_earlier_version(team: Team, tmp_path: Path):
    root = team.clone(tmp_path / "clone")
    assert pull(root) == pointer_md5(root / "data.dvc")
    assert (root / "data" / "images" / "1.png").read_bytes() == b"two"
    assert (fetched(root) / "images" / "1.png").read_bytes() == b"one"
    assert list(at_revision(root, root / "data", "HEAD~1").records) == ["images/1.png"]


@pytest.mark.parametrize(
    ("get", "error", "said"),
    [
        (pull, DataMismatchError, r"failed to transfer 'b8a9f715dbb64fd5c56e7783c6820a61' \(\S"),
        (fetched, RevisionError, "data at HEAD~1 can be had neither from DVC's cache nor from"),
    ],
)
def test_object_that_the_remote_lost_is_named(
    team: Team, tmp_path: Path, get: Callable[[Path], object], error: type[Exception], said: str
):
    root = team.clone(tmp_path / "clone")
    lost = team.store.without(b"two" if get is pull else b"one")
    with lost, pytest.raises(error, match=said):
        get(root)
    assert not (root / "data").exists()
    get(root)  # nothing of the failure is left


@pytest.mark.parametrize(
    ("get", "error"), [(pull, DataMismatchError), (fetched, RevisionError)]
)  # fmt: skip
def test_object_that_the_remote_spoilt_is_named_and_never_used(
    team: Team, tmp_path: Path, get: Callable[[Path], object], error: type[Exception]
):
    root = team.clone(tmp_path / "clone")
    spoilt = team.store.without(b"two" if get is pull else b"one", b"bad")
    with spoilt, pytest.raises(error, match=r"images/1\.png .*corrupt"):
        get(root)
    assert not (root / "data").exists()
    assert not list((root / "kept").glob("**/*.png"))


def earlier(root: Path) -> object:
    """As `finecap data diff HEAD~1` begins."""
    return at_revision(root, root / "data", "HEAD~1")


@pytest.mark.parametrize(
    ("get", "error", "said"),
    [
        (pull, DataMismatchError, "failed to connect to s"),
        (fetched, RevisionError, "data at HEAD~1: its DVC remote does not let us in"),
        (earlier, RevisionError, "data at HEAD~1: its DVC remote does not let us in"),
    ],
)
def test_wrong_key_is_told_without_it(
    team: Team, tmp_path: Path, get: Callable[[Path], object], error: type[Exception], said: str
):
    root = team.clone(tmp_path / "clone")
    configure(root, **team.wrong)
    with pytest.raises(error, match=f"{said}.*(Forbidden|Permission denied)") as caught:
        get(root)
    assert not re.search(r"'wrong'|=wrong|PRIVATE", str(caught.value))


def test_server_that_is_gone_is_told(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # S3's client would wait half a minute
    root = team.clone(tmp_path / "clone")
    configure(root, **team.gone)
    with pytest.raises(DataMismatchError, match=r"failed to connect to s.*[cC]onnect"):
        pull(root)


def test_place_in_the_remote_where_nothing_is_is_told(team: Team, tmp_path: Path):
    root = team.clone(tmp_path / "clone")
    configure(root, **team.empty)
    with pytest.raises(DataMismatchError, match=r"[mM]issing cache files: md5: \w+\.dir") as caught:
        pull(root)
    assert "\x1b" not in str(caught.value)


def test_full_disk_is_not_taken_for_a_remotes_refusal():
    assert not issubclass(OSError, refusals())
    assert issubclass(PermissionError, refusals())
    assert issubclass(asyncssh.PermissionDenied, refusals())


def test_reasons_are_those_that_dvc_logs_inside():
    logger = logging.getLogger("dvc_data.some")
    with reasons() as said:
        logger.error("no object\nand more")
        logger.error("no way", exc_info=OSError("it  is\nshut"))
        logger.info("nothing")
    logger.error("later")
    assert said == ["no object and more", "no way (it is shut)"]
