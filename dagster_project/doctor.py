"""`finecap doctor`: whether this installation and this home can run, and what mends them.

It reads, and changes nothing. Each examination is a function that yields findings; one that fails
in a way nobody foresaw is a finding too, because whoever asks a doctor wants all of the answer.
"""

import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, cast

from packaging.requirements import Requirement

from dagster_project.home import Home, tracking_uri
from dagster_project.tracking_store import has_begun
from finecap.config import Profile

State = Literal["ok", "warn", "fail"]
PYTHONS = ((3, 11), (3, 13))
"""From, and below."""
LEAST_GB, ENOUGH_GB = 2, 10
"""Free disk: below the first nothing can be trained; a run of `scenes` leaves some 2 GB."""
VARIABLES = frozenset(
    {
        "FINECAP_HOME",
        "FINECAP_PROFILE",
        "FINECAP_INDEX_URL",
        "FINECAP_DAGSTER_PORT",
        "FINECAP_MLFLOW_PORT",
        "FINECAP_MLFLOW_UI",
        "FINECAP_SERVE_PORT",
        "FINECAP_TOKEN",
        "FINECAP_TOKEN_FILE",
        "FINECAP_TORCH_INDEX",
        "FINECAP_TRACKING_OUTAGE",
        "FINECAP_WEBHOOK_URL",
        "FINECAP_OWNER",
        "FINECAP_IMAGE_FOLDER",
        "FINECAP_PROGRESS_FILE",
    }
)
NAMING_FILES = frozenset({"timm_checkpoint", "lexicon_folder"})
"""Settings that name a file or folder, and nothing else."""
_SETUP = "`make setup`, or `pip install 'finecap[pipeline]'`"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    said: str
    fix: str = ""


Findings = Iterator[Finding]


def examined(home: Home, profile: Profile, environ: Mapping[str, str] = os.environ) -> Findings:
    """All findings, the installation first.

    Args:
        home: whose stores are looked at.
        profile: that is to run there.
        environ: the environment that it runs in.
    """
    parts: dict[str, Callable[[], Findings]] = {
        "python": python,
        "packages": packages,
        "programs": programs,
        "device": device,
        "environment": lambda: environment(environ),
        "profile": lambda: files_of(profile),
        "home": lambda: home_folder(home, profile),
        "data": lambda: data(home, profile),
        "mlflow": lambda: tracking(home),
        "dagster": lambda: dagster(home),
        "index": lambda: index(home),
        "ports": lambda: ports(environ),
    }
    for name, part in parts.items():
        try:
            yield from part()
        except Exception as error:  # noqa: BLE001  see the charter
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding(name, "fail", said)


def python() -> Findings:
    """The interpreter."""
    least, below = PYTHONS
    here = sys.version_info[:2]
    said = f"{sys.version.split()[0]} in {sys.prefix}"
    if least <= here < below:
        yield Finding("python", "ok", said)
    else:
        wanted = f"Python {least[0]}.{least[1]} or newer, below {below[0]}.{below[1]}"
        yield Finding("python", "fail", said, f"install {wanted}, and make the environment anew")


def packages() -> Findings:
    """What the project asks for, at the versions it asks for."""
    wrong = 0
    for text in metadata.requires("finecap") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": "pipeline"}):
            continue
        wrong += 1
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding("packages", "fail", f"{wanted.name} is not installed", _SETUP)
            continue
        if wanted.specifier.contains(here, prereleases=True):
            wrong -= 1
        else:
            said = f"{wanted.name} is {here}, expected {wanted.specifier}"
            yield Finding("packages", "fail", said, _SETUP)
    if not wrong:
        yield Finding("packages", "ok", "all at the versions that were tested")


def programs() -> Findings:
    """Programs beside Python."""
    if shutil.which("git") is None:
        yield Finding(
            "git", "fail", "is not on PATH", "install git: runs note the commit they are of"
        )
    else:
        yield Finding("git", "ok", str(shutil.which("git")))
    if shutil.which("java") is None:
        yield Finding(
            "java", "warn", "is not on PATH: METEOR and SPICE have no value", "install a JRE"
        )


def device() -> Findings:
    """What models compute on."""
    import torch

    cores = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        yield Finding("device", "ok", f"{torch.cuda.get_device_name()}, {cores} cores")
    elif shutil.which("nvidia-smi"):
        said = f"there is an NVIDIA driver, but torch {torch.__version__} does not use it"
        yield Finding("device", "warn", said, "install torch's CUDA build")
    else:
        yield Finding("device", "ok", f"CPU, {cores} cores")


def environment(environ: Mapping[str, str]) -> Findings:
    """Variables that nobody reads: a slip in a name is silent otherwise."""
    unknown = sorted(v for v in environ if v.startswith("FINECAP_") and v not in VARIABLES)
    for name in unknown:
        fix = f"expected one of {', '.join(sorted(VARIABLES))}"
        yield Finding("environment", "warn", f"{name} is set, and read by nothing", fix)
    if not unknown:
        yield Finding("environment", "ok", "every FINECAP_ variable that is set is known")


def files_of(profile: Profile) -> Findings:
    """Files that the profile names and does not make."""
    missing = [
        (name, path) for name, path in _files(profile.model_dump(mode="json")) if not path.exists()
    ]
    for name, path in missing:
        yield Finding(
            "profile", "fail", f"{name} names {path}, which is not there", "mend the path"
        )
    if not missing:
        yield Finding("profile", "ok", f"{profile.name}: every file it names is there")


def home_folder(home: Home, profile: Profile) -> Findings:
    """Whose state lies there, whether it can be written, and how much room is left."""
    there = next(folder for folder in (home.path, *home.path.parents) if folder.is_dir())
    if home.owner not in {"", profile.name}:
        said = f"{home.path} holds profile {home.owner!r}, expected {profile.name!r}"
        yield Finding("home", "fail", said, "set FINECAP_HOME to another folder, or unset it")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        said = f"{there} cannot be written: {error.strerror}"
        yield Finding("home", "fail", said, "give this user the folder, or set FINECAP_HOME")
        return
    free = shutil.disk_usage(there).free / 1e9
    said = f"{home.path}, {free:.0f} GB free"
    state: State = "fail" if free < LEAST_GB else "warn" if free < ENOUGH_GB else "ok"
    fix = "" if state == "ok" else f"free {ENOUGH_GB} GB, or set FINECAP_HOME to another disk"
    yield Finding("home", state, said, fix)


def data(home: Home, profile: Profile) -> Findings:
    """The data set and its pointer."""
    from dagster_project.pointer import pointer_md5

    folder, pointer = home.root / profile.data.folder, home.root / profile.data.pointer
    md5 = pointer_md5(pointer)
    if md5 is None and not folder.is_dir() and not profile.data.drawn:
        fix = "`finecap import --help`, or restore the pointer from git"
        yield Finding("data", "fail", f"neither {folder} nor {pointer} is there", fix)
    elif md5 is None:
        yield Finding("data", "ok", f"no {pointer.name} yet: the next run writes it")
    elif not folder.is_dir():
        yield Finding("data", "ok", f"{folder} is not there: the next run fetches or draws it")
    else:
        yield Finding("data", "ok", f"{folder} at {md5}")


def tracking(home: Home) -> Findings:
    """MLflow's store, and the champion in it."""
    if not has_begun(home.mlflow):
        yield Finding("mlflow", "ok", "nothing was tracked yet")
        return
    fault = "" if tracking_uri() else _damage(home.tracking_store)
    if fault:
        yield Finding(
            "mlflow", "fail", f"{home.tracking_store}: {fault}", "restore it from a backup"
        )
        return
    from dagster_project.registry import CHAMPION, Registry
    from dagster_project.tracking import Tracker

    tracker = Tracker(home.mlflow, "", "")
    registry = Registry(tracker)
    if not tracker.client.search_registered_models(f"name = '{registry.name}'"):
        yield Finding("mlflow", "ok", "no captioner is registered yet")
        return
    version = registry.alias(CHAMPION)
    if version is None:
        yield Finding(
            "mlflow", "warn", "no version is champion", "`make run`, or `finecap promote`"
        )
    elif not tracker.exported_files(version):
        said = f"the files of v{version.version}, the champion, are gone"
        yield Finding("mlflow", "fail", said, "`finecap rollback`, or train it again")
    else:
        yield Finding("mlflow", "ok", f"v{version.version} is champion")


def dagster(home: Home) -> Findings:
    """Dagster's runs."""
    import dagster as dg

    if not (home.dagster / "dagster.yaml").is_file():
        yield Finding("dagster", "ok", "nothing has run yet")
        return
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        started = [run.run_id[:8] for run in instance.get_runs(filters)]
    if started:
        said = f"started, and not ended: {', '.join(started)}"
        fix = "if no process is at work on it, terminate it in the UI (`make up`)"
        yield Finding("dagster", "warn", said, fix)
    else:
        yield Finding("dagster", "ok", "no run is unfinished")


def index(home: Home) -> Findings:
    """The live index, and the models that answer by it."""
    from finecap.search.index import IndexRefused, NoSuchBuild
    from finecap.search.searcher import load_live_manifest, verified_export

    try:
        live = load_live_manifest(home.path)
    except NoSuchBuild:
        yield Finding("index", "warn", "none is live: nothing can be searched", "`make run`")
        return
    except IndexRefused as error:
        yield Finding("index", "fail", str(error), "see `FINECAP_INDEX_URL`, or `make run`")
        return
    try:
        for reference in (live.captioner, live.encoder):
            verified_export(home.path, reference)
    except (IndexRefused, FileNotFoundError) as error:
        yield Finding("index", "fail", str(error), "`make run`")
        return
    said = f"build {live.build_id}, {live.rows} captions of v{live.captioner.version}"
    yield Finding("index", "ok", said)


def ports(environ: Mapping[str, str]) -> Findings:
    """Whether `make up` can have its ports."""
    for name, variable, usual in (
        ("Dagster", "FINECAP_DAGSTER_PORT", "3000"),
        ("MLflow", "FINECAP_MLFLOW_PORT", "5000"),
        ("the search page", "FINECAP_SERVE_PORT", "8000"),
    ):
        port = int(environ.get(variable, usual))
        with socket.socket() as asked:
            is_taken = asked.connect_ex(("127.0.0.1", port)) == 0
        if is_taken:
            said = f"{name}'s port {port} is taken: by `make up`, or by another program"
            yield Finding("ports", "warn", said, f"if by another, set {variable}")


def _files(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every file or folder that a setting names, by the setting's name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _files(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        elif name in NAMING_FILES and value:
            yield f"{prefix}{name}", Path(str(value))


def _damage(database: Path) -> str:
    """What SQLite finds wrong with a database; empty for nothing."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (said,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else str(said)
