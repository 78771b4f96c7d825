"""The database that holds the index: its tables, how they came to be, and connections to it.

One schema, `finecap`. Every table of rows is partitioned by build, so that a build is filled,
indexed and dropped without touching another. What is associated, and where:

    builds      manifests, open and finished      live        which build is searched
    words       in how many of a build's captions each word is
    models      captioner and encoder of a build, with version, MLflow run and digest
    images      encoded image, hidden representation (file#row), the caption searched, its words
    captions    the searched caption, earlier versions', people's; encoded caption; models trained
    derived     grammatical positives and negatives made from a caption

Why migrations of our own: a handful of statements in order, run once under a lock; any number of
processes may start at the same time. Queries are `postgres_build.py`'s business.
"""

import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from finecap.search.index import IndexRefused, IndexUnreachable
from finecap.search.postgres_types import register_types

_LOCK = 0x66696E65  # of migrations; any fixed number will do
_MIGRATIONS = (
    """
    CREATE TABLE finecap.builds (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        build_id text NOT NULL UNIQUE,
        manifest jsonb NOT NULL,
        finished boolean NOT NULL DEFAULT false,
        mean_length double precision
    );
    CREATE TABLE finecap.words (
        build integer NOT NULL REFERENCES finecap.builds ON DELETE CASCADE,
        word text COLLATE "C" NOT NULL,
        captions integer NOT NULL,
        PRIMARY KEY (build, word)
    );
    CREATE TABLE finecap.live (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        build integer REFERENCES finecap.builds,
        previous text
    );
    INSERT INTO finecap.live DEFAULT VALUES;
    CREATE TABLE finecap.models (
        build integer NOT NULL REFERENCES finecap.builds ON DELETE CASCADE,
        role text NOT NULL CHECK (role IN ('captioner', 'encoder')),
        name text NOT NULL, version text NOT NULL, run_id text NOT NULL, digest text NOT NULL,
        PRIMARY KEY (build, role)
    );
    CREATE TABLE finecap.images (
        build integer NOT NULL,
        image text COLLATE "C" NOT NULL,
        path text NOT NULL,
        caption text NOT NULL,
        split text NOT NULL,
        labels text[] NOT NULL,
        words tsvector NOT NULL,
        length integer NOT NULL,
        vector halfvec NOT NULL,
        hidden text NOT NULL,
        PRIMARY KEY (build, image)
    ) PARTITION BY LIST (build);
    CREATE TABLE finecap.captions (
        build integer NOT NULL,
        image text COLLATE "C" NOT NULL,
        position integer NOT NULL,
        caption text NOT NULL,
        source text NOT NULL CHECK (source IN ('model', 'human')),
        model_version text NOT NULL,
        variant text NOT NULL,
        is_current boolean NOT NULL,
        trained text[] NOT NULL,
        vector halfvec,
        PRIMARY KEY (build, image, position)
    ) PARTITION BY LIST (build);
    CREATE TABLE finecap.derived (
        build integer NOT NULL,
        image text COLLATE "C" NOT NULL,
        position integer NOT NULL,
        number integer NOT NULL,
        text text NOT NULL,
        is_grammatical boolean NOT NULL,
        change text NOT NULL,
        PRIMARY KEY (build, image, position, number)
    ) PARTITION BY LIST (build);
    """,
)
"""In order; one that has been released is never edited, a change is one more."""

Connection = psycopg.Connection[tuple[Any, ...]]


def partition(table: str, number: int) -> sql.Identifier:
    """The table's part for the build of that number."""
    return sql.Identifier("finecap", f"{table}_{number}")


class Database:
    """Connections to one database, its schema brought up to date by the first of them."""

    def __init__(self, url: str) -> None:
        """Nothing is connected before it is needed."""
        self._url = url
        self._idle: list[Connection] = []
        self._migrated = False
        self._close = weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """A connection of this thread's own, in a transaction: all of it or nothing.

        Raises:
            IndexUnreachable: the database cannot be reached, went away or is full.
            IndexRefused: it cannot hold an index.
        """
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def connection(self) -> Generator[Connection]:
        """A connection of this thread's own, in which every statement stands alone.

        Raises:
            IndexUnreachable: the database cannot be reached, went away or is full.
            IndexRefused: it cannot hold an index.
        """
        connection = self._connected()
        try:
            yield connection
        except psycopg.OperationalError as error:
            raise IndexUnreachable(
                f"the index's database could not do it: {' '.join(str(error).split())}; nothing "
                "was changed: see to the server, then try again"
            ) from error
        finally:
            self._idle.append(connection)

    @contextmanager
    def lock(self, number: int) -> Generator[None]:
        """Hold the database's lock of that number; a killed holder lets go of it."""
        connection = self._connected()
        try:
            connection.execute("SELECT pg_advisory_lock(%s, %s)", [_LOCK, number])
            yield
            with suppress(psycopg.OperationalError):  # gone with the server: so is the lock
                # Closing lets go as well, but the server notices that only after a while.
                connection.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, number])
        finally:
            connection.close()

    def is_locked(self, number: int) -> bool:
        """Whether anybody holds the database's lock of that number."""
        with self.connection() as connection:
            taken = connection.execute(
                "SELECT pg_try_advisory_lock_shared(%s, %s)", [_LOCK, number]
            )
            if taken.fetchone() == (False,):
                return True
            connection.execute("SELECT pg_advisory_unlock_shared(%s, %s)", [_LOCK, number])
            return False

    def close(self) -> None:
        """Close what is idle; the next use connects again."""
        _close_all(self._idle)

    def _connected(self) -> Connection:
        """An idle connection that still answers, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:  # the server went away meanwhile
                connection.close()
            else:
                return connection
        return self._connect()

    def _connect(self) -> Connection:
        try:
            connection = psycopg.connect(self._url, autocommit=True)
        except psycopg.OperationalError as error:
            raise IndexUnreachable(
                f"the index's database cannot be reached: {' '.join(str(error).split())}; check "
                "FINECAP_INDEX_URL and that the server is up"
            ) from error
        if not self._migrated:
            migrate(connection)
            self._migrated = True
        register_types(connection)
        return connection


def migrate(connection: Connection) -> None:
    """Bring the schema up to date; does nothing where it is.

    Raises:
        IndexRefused: the server has no pgvector, or a later finecap made the schema.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        version = _version(connection)
        if version > len(_MIGRATIONS):
            raise IndexRefused(
                f"the database's schema is version {version}, this finecap knows "
                f"{len(_MIGRATIONS)}: install the finecap that made it"
            )
        if version == len(_MIGRATIONS):
            return
        _prepare(connection)
        for statement in _MIGRATIONS[version:]:
            connection.execute(statement)
        connection.execute("UPDATE finecap.schema_version SET version = %s", [len(_MIGRATIONS)])


def _version(connection: Connection) -> int:
    """How many migrations the database has seen."""
    found = connection.execute("SELECT to_regclass('finecap.schema_version')").fetchone()
    if found is None or found[0] is None:
        return 0
    row = connection.execute("SELECT version FROM finecap.schema_version").fetchone()
    return row[0] if row else 0


def _prepare(connection: Connection) -> None:
    """The extension, the schema and its version, where they are missing."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported) as error:
        raise IndexRefused(
            "the database server has no pgvector, expected the extension `vector` >= 0.7: "
            "install it on the server"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise IndexRefused(
            "pgvector is not in this database and this user may not add it: "
            "run `CREATE EXTENSION vector` there as a superuser once"
        ) from error
    connection.execute("CREATE SCHEMA IF NOT EXISTS finecap")
    connection.execute("CREATE TABLE IF NOT EXISTS finecap.schema_version (version int NOT NULL)")
    connection.execute(
        "INSERT INTO finecap.schema_version SELECT 0 "
        "WHERE NOT EXISTS (SELECT FROM finecap.schema_version)"
    )


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()
