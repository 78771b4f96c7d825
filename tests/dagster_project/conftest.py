"""A home in a temporary folder, and small stages that run in it without the library."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from dagster_project.home import TRACKING_URI, Home
from dagster_project.resources import ArtifactIOManager
from dagster_project.stages import Stages
from tests.dagster_project.mlflow_server import MlflowServer

if TYPE_CHECKING:
    from dagster_project.tracking import Tracker

ROOT = Path(__file__).resolve().parents[2]
os.environ.pop(TRACKING_URI, None)  # no test writes to whoever runs it


def resources_of(home: Home) -> dict[str, object]:
    """What assets are handed, of a profile named `test`."""
    return {
        "artifacts": ArtifactIOManager(folder=str(home.artifacts)),
        "stages": Stages(profile="test", root=str(home.root), path=str(home.path)),
    }


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database as MLflow creates it; that takes seconds, so it is done once."""
    from dagster_project.tracking import Tracker

    folder = tmp_path_factory.mktemp("mlflow")
    assert Tracker(folder, "", "").client
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[MlflowServer]:
    """An MLflow that homes share; whoever kills it starts it again."""
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    shutil.copy(empty_store, server.folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Home:
    home = Home(ROOT, tmp_path / "home with space")
    home.mlflow.mkdir(parents=True)
    shutil.copy(empty_store, home.mlflow)
    return home


@pytest.fixture
def tracker(home: Home) -> "Tracker":
    from dagster_project.tracking import Tracker

    return Tracker(home.mlflow, "finecap-test", "run-1")


@pytest.fixture
def resources(home: Home) -> dict[str, object]:
    return resources_of(home)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
