"""Versions of the data set that git knows: what differs between two, and one of them as a folder.

Read through DVC's API from its cache or remote, so that the work tree stays as it is. A revision is
whatever git calls one: a commit, a tag, `HEAD~1`. What stays out: which version a run uses
(`pointer`).
"""

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from dagster_project.pointer import write_pointer
from dagster_project.remotes import refusals, words
from dagster_project.versions import file_md5, files_below, folder_md5
from finecap.data.records import RECORDS, SHARDS, Record, read_records, records_in

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem


class RevisionError(RuntimeError):
    """A revision without the data set, or whose data cannot be had."""


@dataclass(frozen=True)
class Version:
    """One version of a data set."""

    records: Mapping[str, Record]  # by image
    md5s: Mapping[str, str]  # of images, and of the tars that hold images


@dataclass(frozen=True)
class Difference:
    """What changed from one version to another; images are named as in the records."""

    images_added: list[str] = field(default_factory=list)
    images_removed: list[str] = field(default_factory=list)
    images_changed: list[str] = field(default_factory=list)  # other bytes, or in such a tar
    captions_added: dict[str, list[str]] = field(default_factory=dict)  # of images in both
    captions_removed: dict[str, list[str]] = field(default_factory=dict)
    split_moves: dict[str, tuple[str, str]] = field(default_factory=dict)  # from, to


def at_revision(root: Path, folder: Path, revision: str) -> Version:
    """The data set in `folder` as it was at `revision`.

    Args:
        root: the repository.
        folder: of the data set, in it.
        revision: as git names it.

    Raises:
        RevisionError: there is no such revision, no such data in it, or it cannot be had.
    """
    with _opened(root, folder, revision) as (files, name):
        found = _md5s(files, name)
        if not (parts := [path for path in found if _is_of_records(path)]):
            raise _absent(name, revision)
        with tempfile.TemporaryDirectory() as place:
            for part in parts:
                local = Path(place) / part
                local.parent.mkdir(exist_ok=True)
                files.get_file(f"{name}/{part}", str(local))
            _check(Path(place), {part: found[part] for part in parts}, revision)
            records = read_records(records_in(Path(place)))
    return Version({record.image: record for record in records}, _images(found))


def in_work_tree(folder: Path) -> Version:
    """The data set as it lies in `folder`.

    Raises:
        FileNotFoundError: there is none.
        RecordError: a line of its records is none.
    """
    records = read_records(records_in(folder))
    found = {str(Path(file).relative_to(folder)): file_md5(file) for file in files_below(folder)}
    return Version({record.image: record for record in records}, _images(found))


def difference(before: Version, after: Version) -> Difference:
    """What changed from `before` to `after`, in the order of the records."""
    both = [image for image in after.records if image in before.records]
    found = Difference(
        images_added=[image for image in after.records if image not in before.records],
        images_removed=[image for image in before.records if image not in after.records],
        images_changed=[image for image in both if _md5(before, image) != _md5(after, image)],
    )
    for image in both:
        old, new = before.records[image], after.records[image]
        if old.split != new.split:
            found.split_moves[image] = (old.split, new.split)
        if added := list((Counter(new.captions) - Counter(old.captions)).elements()):
            found.captions_added[image] = added
        if removed := list((Counter(old.captions) - Counter(new.captions)).elements()):
            found.captions_removed[image] = removed
    return found


def fetch(root: Path, folder: Path, revision: str, into: Path) -> Path:
    """A folder below `into` that holds the data set at `revision`; its pointer lies beside it.

    It is named by its md5: fetched once, it is there. Raises: as `at_revision`.
    """
    with _opened(root, folder, revision) as (files, name):
        if known := _already_fetched(files, name, into / "MD5" / folder.name):
            return known
        partial = into / f".{revision.replace('/', '_')}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        if not any(files.exists(f"{name}/{records}") for records in (RECORDS, SHARDS)):
            _look(files)
            raise _absent(name, revision)
        files.get(name, str(partial), recursive=True)
        try:
            _check(partial, _md5s(files, name), revision)
        except RevisionError:
            shutil.rmtree(partial)
            raise
    md5, size, n = folder_md5(partial)
    target = into / md5.removesuffix(".dir") / folder.name
    if target.exists():
        shutil.rmtree(partial)
    else:
        target.parent.mkdir(exist_ok=True)
        partial.rename(target)
    write_pointer(target.with_name(f"{folder.name}.dvc"), target, md5, size, n)
    return target


def _md5s(files: "DVCFileSystem", name: str) -> dict[str, str]:
    """What each file of the data set was added as, by its path in the folder."""
    listed: dict[str, Any] = dict(files.find(name, detail=True))  # of DVC: without types
    return {
        path.removeprefix(f"{name}/"): info["dvc_info"]["entry"].meta.md5
        for path, info in listed.items()
        if info.get("dvc_info") and info["dvc_info"]["entry"].meta
    }


def _check(folder: Path, md5s: Mapping[str, str], revision: str) -> None:
    """Return if the files are what they were added as; DVC takes a remote's word for it.

    Raises:
        RevisionError: one is not.
    """
    wrong = [path for path, md5 in md5s.items() if file_md5(str(folder / path)) != md5]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise RevisionError(
            f"the remote's copy of {wrong[0]} at {revision} (object {md5s[wrong[0]]}){more} is "
            "corrupt, and is not used: remove the object there and from DVC's cache, then `dvc "
            "push` it from where the data is whole"
        )


def _already_fetched(files: "DVCFileSystem", name: str, place: Path) -> Path | None:
    """The folder where the pointer's md5 stands for `MD5` in `place`; None where it is not yet."""
    pointer = f"{name}.dvc"
    if not files.exists(pointer):
        return None
    md5 = str(yaml.safe_load(files.read_text(pointer))["outs"][0]["md5"]).removesuffix(".dir")
    target = place.parent.with_name(md5) / place.name
    return target if target.with_name(f"{target.name}.dvc").is_file() else None


def pinned_profile(profile: str, name: str, data: Path) -> Path:
    """A profile file beside `data` that extends `profile` and differs in its data alone.

    Args:
        profile: name or file of a profile.
        name: what it calls itself: the state stays in the same home.
        data: the folder that `fetch` gave.
    """
    pointer = data.with_name(f"{data.name}.dvc")
    base = str(Path(profile).resolve()) if profile.endswith((".yaml", ".yml")) else profile
    settings = {"folder": str(data), "pointer": str(pointer), "drawn": False}
    path = data.with_name(f"{name}.yaml")
    content = {"extends": base, "name": name, "data": settings}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@contextmanager
def _opened(root: Path, folder: Path, revision: str) -> Generator[tuple["DVCFileSystem", str]]:
    """The files of a revision, and what the data folder is called in it; DVC's errors as ours."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    if not folder.resolve().is_relative_to(root.resolve()):
        raise RevisionError(
            f"{folder} lies outside {root}, whose commits say what the data was; expected a folder "
            "in it"
        )
    name = folder.resolve().relative_to(root.resolve()).as_posix()
    try:
        yield DVCFileSystem(str(root), rev=revision), name
    except DvcException as error:
        raise RevisionError(
            f"{revision}: {words(error)}; `git log -- {name}.dvc` lists them"
        ) from error
    except FileNotFoundError as error:
        if any(said in str(error) for said in (RECORDS, f"/{SHARDS}/", "storage files")):
            raise _absent(name, revision) from error
        raise
    except DataIndexDirError as error:
        if isinstance(error.__cause__, refusals()):
            raise _refused(name, revision, error.__cause__) from error
        raise _absent(name, revision) from error
    except refusals() as error:
        raise _refused(name, revision, error) from error


def _look(files: "DVCFileSystem") -> None:
    """Raise what the remote raises where it refuses, which DVC takes for an absent folder."""
    repo: Any = files.repo  # of DVC: without types
    if repo.config["core"].get("remote"):
        remote = repo.cloud.get_remote_odb()
        remote.fs.exists(remote.path)


def _refused(name: str, revision: str, why: object) -> RevisionError:
    return RevisionError(
        f"{name} at {revision}: its DVC remote does not let us in, or does not answer "
        f"({words(why)}); `dvc remote list` names it, and its keys are in .dvc/config.local or the "
        "environment"
    )


def _absent(name: str, revision: str) -> RevisionError:
    return RevisionError(
        f"{name} at {revision} can be had neither from DVC's cache nor from a remote, or was not "
        f"there; `git show {revision}:{name}.dvc` says whether it was, `dvc fetch -A` gets all "
        "that a remote has"
    )


def _images(md5s: Mapping[str, str]) -> dict[str, str]:
    return {path: md5 for path, md5 in md5s.items() if not _is_of_records(path)}


def _is_of_records(path: str) -> bool:
    """Whether a file of the data folder is its records, or a shard of them."""
    return path == RECORDS or (path.startswith(f"{SHARDS}/") and path.endswith(".parquet"))


def _md5(version: Version, image: str) -> str | None:
    """Of an image, or of the tar that it is in; None where there is none of both."""
    above = map(str, PurePosixPath(image).parents)
    return next((md5 for path in (image, *above) if (md5 := version.md5s.get(path))), None)


def revisions_of(root: Path, pointer: Path, md5: str) -> list[str]:
    """Commits at which `pointer` names that version: hash, day and subject, the newest first.

    Args:
        root: the repository.
        pointer: the DVC file, in it.
        md5: of the data set, as DVC has it.
    """
    name = pointer.resolve().relative_to(root.resolve()).as_posix()
    log = _git(root, "log", "--format=%H\t%cs %s", "--", name)
    found: list[str] = []
    for line in log.splitlines():
        commit, _, about = line.partition("\t")
        if md5 in _git(root, "show", f"{commit}:{name}"):
            found.append(f"{commit[:12]} {about}")
    return found


def _git(root: Path, *words: str) -> str:
    """What git says; "" where it fails, as for a file that a commit removed."""
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, check=False, text=True).stdout  # noqa: S603


def as_json(found: Difference) -> str:
    """One JSON object with all of it."""
    return json.dumps(found.__dict__, ensure_ascii=False)
