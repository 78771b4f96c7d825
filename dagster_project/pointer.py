"""The DVC pointer and the folder it names: one version of the data set, checked before every use.

A folder that is there is compared with the pointer's md5 (hashed once, then recognised by size and
change time of its files). A folder that is not there is restored from DVC's cache or remote, or
drawn when the profile draws its world. Nothing is ever overwritten: a folder that differs stops
the run and says what to do. Where no pointer exists yet, one is written; its content is what
`dvc add` writes, without a second copy of the data in DVC's cache.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import yaml

from dagster_project.remotes import reasons, refusals, words
from dagster_project.versions import folder_md5, folder_signature

_NAMED = 5  # files in a message
_MD5 = re.compile(r"^[0-9a-f]{32}\.dir$")


class DataMismatchError(RuntimeError):
    """The data folder is not what the pointer names, or cannot be had."""


class PointerError(ValueError):
    """A pointer file that is no DVC pointer to one folder."""


def pointer_md5(pointer: Path) -> str | None:
    """The md5 that the pointer names; None where there is no pointer.

    Raises:
        PointerError: not YAML, or not one output with the md5 of a folder.
    """
    if not pointer.is_file():
        return None
    try:
        content = yaml.safe_load(pointer.read_text())
        md5 = content["outs"][0]["md5"]
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise PointerError(
            f"{pointer}: expected a DVC pointer with outs[0].md5 ({error!r}); restore it from git, "
            "or run `dvc add` on the data folder"
        ) from error
    if not isinstance(md5, str) or not _MD5.match(md5):
        raise PointerError(f"{pointer}: outs[0].md5 is {md5!r}, expected 32 hex digits and .dir")
    return md5


def write_pointer(pointer: Path, folder: Path, md5: str, size: int, files: int) -> None:
    """Write the pointer as `dvc add` would."""
    path = os.path.relpath(folder, pointer.parent)
    entry = {"md5": md5, "size": size, "nfiles": files, "hash": "md5", "path": path}
    partial = pointer.with_name(f"{pointer.name}.partial")
    partial.write_text(yaml.safe_dump({"outs": [entry]}, sort_keys=False))
    partial.replace(pointer)


def ensure_data(
    folder: Path,
    pointer: Path,
    cache: Path,
    draw: Callable[[Path], None] | None,
    say: Callable[[str], None],
) -> str:
    """The md5 of `folder`, which is there and is what `pointer` names when this returns.

    Args:
        folder: the data set.
        pointer: the DVC file; written when missing.
        cache: file that remembers the folder's md5 by its files' sizes and times.
        draw: makes the data in a given empty folder; None where it cannot be made.
        say: told of progress.

    Raises:
        DataMismatchError: the folder differs from the pointer, or is missing and cannot be had.
    """
    expected = pointer_md5(pointer)
    if not folder.is_dir():
        _obtain(folder, pointer, expected, cache, draw, say)
    md5, size, files = cached_md5(folder, cache)
    if expected is None:
        write_pointer(pointer, folder, md5, size, files)
        say(f"wrote {pointer.name}: {files} files, {md5}")
    elif md5 != expected:
        raise DataMismatchError(
            f"{folder} ({files} files) has md5 {md5}, but {pointer} names {expected}. If the "
            f"change was meant, delete {pointer}: the next run writes it anew, for you to "
            f"commit. If not, run `dvc checkout {pointer}` (or `dvc pull {pointer}`) to restore "
            "the data, or move the folder away to have it fetched or drawn again"
        )
    return md5


def cached_md5(folder: Path, cache: Path) -> tuple[str, int, int]:
    """`folder_md5`, from `cache` while no file's size or time has changed."""
    signature = folder_signature(folder)
    if cache.is_file():
        known = json.loads(cache.read_text())
        if known["signature"] == signature:
            return known["md5"], known["size"], known["files"]
    md5, size, files = folder_md5(folder)
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_name(f"{cache.name}.{os.getpid()}")
    content = {"signature": signature, "md5": md5, "size": size, "files": files}
    partial.write_text(json.dumps(content))
    partial.replace(cache)
    return md5, size, files


def _obtain(
    folder: Path,
    pointer: Path,
    expected: str | None,
    cache: Path,
    draw: Callable[[Path], None] | None,
    say: Callable[[str], None],
) -> None:
    """Restore the missing folder from DVC, or draw it."""
    failure = "there is no pointer to fetch it by"
    if expected is not None:
        failure = _pull(pointer) or _corruption(folder, pointer, expected, cache)
        if not failure:
            say(f"fetched {folder.name} by {pointer.name}")
            return
    if draw is None:
        raise DataMismatchError(
            f"data folder {folder} does not exist and cannot be had: {failure}. Configure a DVC "
            f"remote that holds {pointer.name}, or import a data set (`finecap import --help`)"
        )
    say(f"drawing {folder.name} ({failure})")
    partial = folder.with_name(f".{folder.name}.partial")
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        draw(partial)
        partial.rename(folder)
    finally:
        _remove(partial)


def _pull(pointer: Path) -> str:
    """Run `dvc pull` on the pointer; the reason where that did not work, else empty."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with reasons() as said:
        try:
            with Repo(str(pointer.parent)) as repo:
                repo.pull(targets=[str(pointer)])
        except (DvcException, FileNotFoundError, *refusals()) as error:
            about = ": ".join([f"dvc pull: {words(error)}", *said[:1]])
            return about + (f" (and {len(said) - 1} more)" if len(said) > 1 else "")
    return ""


def _corruption(folder: Path, pointer: Path, expected: str, cache: Path) -> str:
    """Which fetched files are not what they were added as, and are removed; empty where all are.

    DVC takes a remote's word for what an object holds, and its own cache then has it so.
    """
    if cached_md5(folder, cache)[0] == expected:
        return ""
    from dvc.repo import Repo

    with Repo(str(pointer.parent)) as repo:
        objects = Path(repo.cache.local.path)
    manifest = json.loads(_object(objects, expected).read_text())
    wrong = [entry for entry in manifest if _md5(folder / entry["relpath"]) != entry["md5"]]
    for entry in wrong:
        _object(objects, entry["md5"]).unlink(missing_ok=True)
    _remove(folder)
    names = ", ".join(f"{e['relpath']} (object {e['md5']})" for e in wrong[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return (
        f"the remote's copy of {names}{more} is corrupt; what was fetched was removed. `dvc push` "
        "it again from where the data is whole, after removing the remote's object"
    )


def _object(objects: Path, md5: str) -> Path:
    return objects / md5[:2] / md5[2:]


def _md5(file: Path) -> str:
    """A file's md5; empty where there is none."""
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _remove(folder: Path) -> None:
    """Remove a half-drawn folder."""
    import shutil

    if folder.exists():
        shutil.rmtree(folder)
