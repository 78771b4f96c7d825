"""What the doctor looks at next: home folder, data, MLflow's store, Dagster's runs, index, ports.

It reads, and changes nothing.
"""

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dagster_project.findings import Finding, Findings, State
from dagster_project.home import PORTS, Home, tracking_uri
from dagster_project.instance import instance_folder, storage_url
from dagster_project.shared_stores import fault_of
from dagster_project.tracking_store import has_begun
from finecap.config import Profile

LEAST_GB, ENOUGH_GB = 2, 10
"""Free disk: below the first nothing can be trained; a run of `scenes` leaves some 2 GB."""


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
    from dagster_project.registry import CHAMPION, registry_of

    registry = registry_of(home)
    if registry is None:
        yield Finding("mlflow", "ok", "no captioner is registered yet")
        return
    version = registry.alias(CHAMPION)
    if version is None:
        yield Finding(
            "mlflow", "warn", "no version is champion", "`make run`, or `finecap promote`"
        )
    elif not registry.tracker.exported_files(version):
        said = f"the files of v{version.version}, the champion, are gone"
        yield Finding("mlflow", "fail", said, "`finecap rollback`, or train it again")
    else:
        yield Finding("mlflow", "ok", f"v{version.version} is champion")


def dagster(home: Home, environ: Mapping[str, str] = os.environ) -> Findings:
    """Dagster's runs, and where they are kept."""
    import dagster as dg

    url, folder = storage_url(environ), instance_folder(home, environ)
    where = "in PostgreSQL" if url else "in SQLite"
    if not (folder / "dagster.yaml").is_file():
        yield Finding("dagster", "ok", f"nothing has run yet; runs are kept {where}")
        return
    if url and fault_of(url):
        return  # what is wrong is said of the database
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        started = [run.run_id[:8] for run in instance.get_runs(filters)]
    if started:
        said = f"started, and not ended: {', '.join(started)}"
        fix = "if no process is at work on it, terminate it in the UI (`make up`)"
        yield Finding("dagster", "warn", said, fix)
    else:
        yield Finding("dagster", "ok", f"no run is unfinished; they are kept {where}")


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


def ports(environ: Mapping[str, str] = os.environ) -> Findings:
    """Whether `make up` can have its ports."""
    for port in PORTS:
        number = port.number(environ)
        with socket.socket() as asked:
            is_taken = asked.connect_ex(("127.0.0.1", number)) == 0
        if is_taken:
            said = f"{port.server}'s port {number} is taken: by `make up`, or by another program"
            yield Finding("ports", "warn", said, f"if by another, set {port.variable}")


def _damage(database: Path) -> str:
    """What SQLite finds wrong with a database; empty for nothing."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (said,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else str(said)
