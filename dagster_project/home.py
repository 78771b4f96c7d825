"""Where a profile's state lives, and the repository it belongs to.

`$FINECAP_HOME` names the folder outright. Without it `scenes` has `./var` and any other profile
`./var/<profile>`: its own registry, artifacts, index and Dagster home, so that a smoke or research
run never dethrones a champion. The environment is read in the functions below, nowhere else.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PROFILE = "scenes"
REPOSITORY = Path(__file__).resolve().parent.parent
POLICY = REPOSITORY / "mlflow" / "registry.toml"
"""When a challenger becomes champion."""
MODEL_TRAINING = "workflowType=machine_learning"
"""What an MLflow address asks for; without it a new browser is shown traces of chat agents."""

TRACKING_URI = "MLFLOW_TRACKING_URI"
"""Variable that names an MLflow which homes share."""
BACKEND_URI = "MLFLOW_BACKEND_STORE_URI"
"""Variable that names the database of an MLflow server; its clients know the server alone."""
_EXPERIMENTS = "finecap-"
_SECRET = re.compile(r"(?<=://)[^/?#]*@|[?#].*")
_MAX_PORT = 65_535


class HomeError(RuntimeError):
    """A home that belongs to another profile, or a variable that says what cannot be."""


@dataclass(frozen=True)
class Port:
    """Where a server of `make up` listens."""

    server: str  # as people call it
    variable: str
    usual: int

    def number(self, environ: Mapping[str, str] = os.environ) -> int:
        """The port that the environment asks for.

        Raises:
            HomeError: what it asks for is no port.
        """
        said = environ.get(self.variable) or str(self.usual)
        if not (said.isdecimal() and 0 < int(said) <= _MAX_PORT):
            raise HomeError(
                f"{self.variable} is {said!r}, expected a port from 1 to {_MAX_PORT}, or unset "
                f"for {self.usual}"
            )
        return int(said)

    def address(self, environ: Mapping[str, str] = os.environ) -> str:
        """Address of the server's pages on this machine."""
        return f"http://localhost:{self.number(environ)}"


DAGSTER = Port("Dagster", "FINECAP_DAGSTER_PORT", 3000)
MLFLOW = Port("MLflow", "FINECAP_MLFLOW_PORT", 5000)
SEARCH = Port("the search page", "FINECAP_SERVE_PORT", 8000)
PORTS = (DAGSTER, MLFLOW, SEARCH)
"""Of what `make up` starts."""
POSTGRES = Port("PostgreSQL", "FINECAP_POSTGRES_PORT", 5432)
CODE = Port("the code location", "FINECAP_CODE_PORT", 4000)
STACK_PORTS = (POSTGRES, CODE, *PORTS)
"""Of what `make up STACK=postgres` starts."""


@dataclass(frozen=True)
class Home:
    """Folders of one profile's state."""

    root: Path  # the repository: data pointers and mlflow/ lie in it
    path: Path

    @property
    def artifacts(self) -> Path:
        """One folder per asset, in it one per data version."""
        return self.path / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """State of training that has not ended; one folder per asset, in it one per version."""
        return self.path / "checkpoints"

    @property
    def cache(self) -> Path:
        """What can be had again at any time."""
        return self.path / "cache"

    @property
    def mlflow(self) -> Path:
        """The tracking store's database and artifacts."""
        return self.path / "mlflow"

    @property
    def tracking_store(self) -> Path:
        """The tracking store's database; absent before anything was tracked."""
        return self.mlflow / "mlflow.db"

    @property
    def stack(self) -> Path:
        """What `make up STACK=postgres` keeps: the database, and how to reach it."""
        return self.path / "stack"

    @property
    def dagster(self) -> Path:
        """`$DAGSTER_HOME`."""
        return self.path / "dagster"

    def run_lock(self, run_id: str) -> Path:
        """What the process that executes a Dagster run holds for as long as it lives."""
        return self.mlflow / "pipelines" / f"{run_id}.lock"

    @property
    def index(self) -> Path:
        """Builds of the caption index."""
        return self.path / "index"

    @property
    def reports(self) -> Path:
        """The latest leaderboard, for people and machines."""
        return self.path / "reports"

    @property
    def owner(self) -> str:
        """The profile whose state lies here, "" before its first run."""
        note = self.path / "profile"
        return note.read_text() if note.is_file() else ""

    def claim(self, profile: str) -> None:
        """Bind the folder to `profile`, or check that it already is.

        Raises:
            HomeError: another profile's state lies here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.owner:
            (self.path / "profile").write_text(profile)
        elif self.owner != profile:
            raise HomeError(
                f"{self.path} holds profile {self.owner!r}, expected {profile!r}: "
                "set FINECAP_HOME to another folder, or leave it unset"
            )


def profile_in(environ: Mapping[str, str] = os.environ) -> str:
    """Name or file of the profile that the environment asks for."""
    return environ.get("FINECAP_PROFILE") or DEFAULT_PROFILE


def home_of(profile: str, environ: Mapping[str, str] = os.environ) -> Home:
    """The home of the profile with that name."""
    named = environ.get("FINECAP_HOME")
    if named:
        return Home(REPOSITORY, Path(named).expanduser().resolve())
    own = REPOSITORY / "var"
    return Home(REPOSITORY, own if profile == DEFAULT_PROFILE else own / profile)


def owner(environ: Mapping[str, str] = os.environ) -> str:
    """Who answers for the assets, as the UI shows it: an e-mail address, or `team:<name>`."""
    return environ.get("FINECAP_OWNER") or "team:finecap"


def experiment_of(profile: str) -> str:
    """The MLflow experiment of a profile."""
    return f"{_EXPERIMENTS}{profile}"


def profile_of(experiment: str) -> str:
    """The profile of an MLflow experiment."""
    return experiment.removeprefix(_EXPERIMENTS)


def tracking_uri(environ: Mapping[str, str] = os.environ) -> str:
    """Address of the MLflow that homes share, "" where each has its own."""
    return environ.get(TRACKING_URI, "")


def mlflow_server(environ: Mapping[str, str] = os.environ) -> str:
    """Address at which people open the MLflow UI.

    `FINECAP_MLFLOW_UI` where it is set: what a server is called inside a network of containers is
    not what a browser finds it by. Else the shared server, or the one that `make up` starts.
    """
    shared = without_password(tracking_uri(environ))
    usual = shared if shared.startswith("http") else MLFLOW.address(environ)
    named = environ.get("FINECAP_MLFLOW_UI") or usual
    return named.rstrip("/")


def dagster_server(environ: Mapping[str, str] = os.environ) -> str:
    """Address at which people open the Dagster UI.

    `FINECAP_DAGSTER_UI` where it is set: a message that is read elsewhere needs an address that is
    good there. Else the one that `make up` serves on this machine.
    """
    return (environ.get("FINECAP_DAGSTER_UI") or DAGSTER.address(environ)).rstrip("/")


def without_password(address: str) -> str:
    """An address as it may be shown: without user, password and query, which may hold others."""
    return _SECRET.sub("", address)
