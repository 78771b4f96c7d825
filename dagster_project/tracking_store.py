"""Where MLflow is, and how it is reached: the home's own SQLite file, or an address that is set.

`MLFLOW_TRACKING_URI` names an MLflow that is shared: a server, which takes and gives artifacts
itself, or its database, whose artifacts then lie in the home or where
`MLFLOW_DEFAULT_ARTIFACT_ROOT` says. It is asked first whether it answers at all, because MLflow
itself would try again for minutes and say nothing.

A server's registry is one profile's, as a home is: the champion of another would be dethroned.

Locks are files in the home whatever the address is: processes that work on one profile at once
share its artifacts, and so its folder. Homes that share a server train side by side: what they race
for (names of experiment and models, a data set's entry) the server gives to one of them, and the
others take it as it is. Only who moves the champion's alias waits for the others (`server_lock`).
"""

import fcntl
import os
import socket
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dagster_project.home import TRACKING_URI, tracking_uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXISTS, UNKNOWN = "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"
"""Error codes of MLflow's."""
SERVER = frozenset({"http", "https"})
TIMEOUT_S = 5.0
"""For the first answer."""
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_USUAL_DRIVER = "psycopg"  # version 3, SQLAlchemy's choice where the address names none
_DOWN = frozenset({502, 503, 504})  # a proxy's word that nobody is behind it
# MLflow reads these when it first needs them. A bar per file copied would drown the pipeline's own
# lines. Its own seven tries take four minutes: who asks for more patience has it (`outage`).
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # seconds, for one answer
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)


class MlflowUnreachableError(RuntimeError):
    """Nobody answers at the address of MLflow."""


class OtherProfileError(RuntimeError):
    """The shared registry holds the models of another profile."""


def has_begun(folder: Path) -> bool:
    """Whether there may be anything tracked for the home with that folder of MLflow's.

    Loads nothing of MLflow's and asks nobody: a shared one always counts as begun.
    """
    return bool(tracking_uri()) or (folder / "mlflow.db").is_file()


def check_answers(uri: str) -> None:
    """Return if somebody answers at a shared address, which is asked once.

    Raises:
        MlflowUnreachableError: nobody does, or there is no driver to ask with; says why, and what
            to do.
    """
    parts = urlsplit(uri)
    scheme, _, driver = parts.scheme.partition("+")
    if scheme == "postgresql" and find_spec(driver or _USUAL_DRIVER) is None:
        raise MlflowUnreachableError(
            f"{TRACKING_URI} names PostgreSQL, and its driver {driver or _USUAL_DRIVER} is not "
            "installed: pip install 'finecap[postgres]', or name one that is, as in "
            "postgresql+psycopg2://USER@HOST/NAME"
        )
    try:
        if scheme in SERVER:
            _ask(uri)
        elif scheme in _PORTS and parts.hostname:  # else by a socket of this machine's
            place = parts.hostname, parts.port or _PORTS[scheme]
            socket.create_connection(place, TIMEOUT_S).close()
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", error)
        raise MlflowUnreachableError(
            f"MLflow does not answer at {without_password(uri)} ({why}), which {TRACKING_URI} "
            "names: start it, mend the address, or unset the variable to track in the home itself"
        ) from error


class TrackingStore:
    """One MLflow, as a home reaches it; nothing is opened or created before it is needed.

    Args:
        folder: of the home, for its own store and for locks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shared = _signed_in(tracking_uri())

    @property
    def is_shared(self) -> bool:
        """Whether it is the one that the environment names, not the home's own."""
        return bool(self._shared)

    @property
    def uri(self) -> str:
        """Its address; SQLite's time-out lets parallel stages wait for each other's writes."""
        uri = self._shared or f"sqlite:///{self.folder / 'mlflow.db'}"
        return f"{uri}?timeout=60" if uri.startswith("sqlite:") and "?" not in uri else uri

    @cached_property
    def home_id(self) -> str:
        """What tells this home's runs from those of others that share the MLflow."""
        file = self.folder / ".id"
        with self.lock():
            if not file.is_file():
                file.write_text(uuid.uuid4().hex)
            return file.read_text()

    @property
    def place(self) -> str:
        """Where it is, in words that hold no secret."""
        return without_password(self._shared) if self._shared else str(self.folder)

    @property
    def artifact_root(self) -> str | None:
        """Where a new experiment's artifacts are to lie; None: where its server says."""
        if urlsplit(self._shared).scheme in SERVER:
            return None
        named = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") if self._shared else None
        return named or (self.folder / "artifacts").as_uri()

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of it; the home's own store is created on first use.

        Raises:
            MlflowUnreachableError: nobody answers there.
        """
        from mlflow import MlflowClient

        self.check()
        with self.lock():
            client = MlflowClient(self.uri)
            client.search_experiments(max_results=1)
            return client

    def check(self) -> None:
        """Return if it can be asked; the home's own always can.

        Raises:
            MlflowUnreachableError: nobody answers at the shared address.
        """
        if self.is_shared:
            check_answers(self.uri)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time: creating the database, an experiment or a parent run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def side_by_side(self, write: Callable[[], object]) -> None:
        """Do a write that another home may be doing too: what it enters is the same for both.

        Of two that enter it at once the database takes one, and refuses the other as if it were
        wrong; asked again, it finds the entry there.
        """
        from mlflow import MlflowException

        try:
            write()
        except MlflowException:
            if not self.is_shared:
                raise
            write()

    @contextmanager
    def fluent(self, run_id: str | None = None) -> Iterator[None]:
        """MLflow's global interface, which alone stores and fetches models, pointed here.

        Args:
            run_id: that it is for; its status is left as it is.
        """
        from mlflow.tracking._tracking_service.utils import _use_tracking_uri

        import mlflow

        named = os.environ.get(TRACKING_URI)  # MLflow writes its setting there, and forgets ours
        try:
            with _use_tracking_uri(self.uri):
                if run_id is None:
                    yield
                    return
                status = self.client.get_run(run_id).info.status
                with mlflow.start_run(run_id=run_id):
                    yield
                self.client.set_terminated(run_id, status)
        finally:
            if named is None:
                os.environ.pop(TRACKING_URI, None)
            else:
                os.environ[TRACKING_URI] = named

    def check_profile(self, profile: str) -> None:
        """Return if a shared registry is empty or the profile's own.

        Raises:
            OtherProfileError: it is another profile's.
        """
        if not self.is_shared:
            return
        where, order = "name LIKE 'finecap-%'", ["last_updated_timestamp DESC"]
        found = self.client.search_model_versions(where, max_results=1, order_by=order)
        owner = found[0].tags.get("profile", profile) if found else profile
        if owner != profile:
            raise OtherProfileError(
                f"MLflow at {self.place} holds the models of profile {owner!r}, expected "
                f"{profile!r}: give each profile a server, or unset {TRACKING_URI} for this one"
            )


def _signed_in(uri: str) -> str:
    """A server's address without user and password, which MLflow is told by variables instead.

    In the address they would stand in its error messages.
    """
    parts = urlsplit(uri)
    if parts.scheme not in SERVER or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return without_password(uri)


def _ask(uri: str) -> None:
    """Ask a server how it is; any answer of its own will do."""
    asked = urllib.request.Request(f"{without_password(uri).rstrip('/')}/health")  # noqa: S310
    try:
        urllib.request.urlopen(asked, timeout=TIMEOUT_S).close()  # noqa: S310  http or https
    except urllib.error.HTTPError as error:
        if error.code in _DOWN:
            raise
