"""The engine for many machines: PostgreSQL with pgvector, one partition per immutable build.

Whatever changes does so in one transaction, so a process killed at any moment leaves the live build
and every finished one as they were; the server forgets the rest. Which build is live is one row,
swapped under its lock. The tables are `postgres_schema.py`'s, the questions `postgres_build.py`'s.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from psycopg import errors

from finecap.search.build_reader import BuildReader, oldest_first
from finecap.search.checks import check_batch, check_count, check_expected, not_open
from finecap.search.index import (
    Hit,
    IndexRefused,
    Manifest,
    NoSuchBuild,
    Row,
    Search,
    SearchRequest,
)
from finecap.search.postgres_build import PostgresBuild
from finecap.search.postgres_recall import with_width
from finecap.search.postgres_rows import (
    HNSW_CONSTRUCTION,
    HNSW_M,
    copy_rows,
    count_rows,
    create_rows,
    delete_rows,
    drop_rows,
    drop_vector_index,
    index_rows,
    reclaim_rows,
)
from finecap.search.postgres_schema import Connection, Database
from finecap.search.query import STOP_WORDS

EXACT_UP_TO = 50_000
"""Rows that are scanned rather than looked up: some 25 ms of one thread at 256 dims."""
_BUILDING = 1  # the lock that builders wait for


class PostgresIndex(BuildReader):
    """`CaptionIndex` in a database; safe for many readers and, per build, one writer."""

    def __init__(self, url: str, *, exact_up_to: int = EXACT_UP_TO) -> None:
        """Nothing is connected before it is needed.

        Args:
            url: postgresql://...
            exact_up_to: a build of more rows gets an approximate index of vectors, which is used
                where a filter leaves more rows than so many, or a large share of them.
        """
        self._database = Database(url)
        self._exact_up_to = exact_up_to

    def building(self) -> AbstractContextManager[None]:
        """The right to build: a lock of the database."""
        return self._database.lock(_BUILDING)

    def is_building(self) -> bool:
        """Whether anybody holds that lock."""
        return self._database.is_locked(_BUILDING)

    def create(self, manifest: Manifest) -> None:
        """Open an empty build; one of that name left by a crash is wiped."""
        stated = manifest.model_copy(
            update={"parameters": self._parameters(manifest), "recall_at_10": None}
        )
        with self._database.transaction() as connection:
            held = _build(connection, manifest.build_id)
            if held and held[1]:
                raise IndexRefused(f"build {manifest.build_id} is finished and cannot be changed")
            if held:
                drop_rows(connection, held[0])
            added = connection.execute(
                "INSERT INTO finecap.builds (build_id, manifest) VALUES (%s, %s) RETURNING number",
                [manifest.build_id, stated.model_dump_json()],
            ).fetchone()
            number = cast("tuple[int]", added)[0]
            create_rows(connection, number)
            _tell_models(connection, number, stated)

    def upsert(self, build_id: str, rows: Iterable[Row]) -> None:
        """Add or replace rows of an open build, in one transaction."""
        with self._opened(build_id) as (connection, number, manifest):
            batch = list(rows)
            check_batch(batch, manifest.dims)
            replaced = delete_rows(connection, number, [row.image for row in batch])
            copy_rows(connection, number, batch)
        if replaced:
            self._reclaim(number)

    def delete(self, build_id: str, images: Iterable[str]) -> None:
        """Remove rows from an open build."""
        with self._opened(build_id) as (connection, number, _):
            removed = delete_rows(connection, number, list(images))
        if removed:
            self._reclaim(number)

    def finish(self, build_id: str, check: Callable[[Search], float]) -> Manifest:
        """Index the rows, check the result, then make it visible by one update."""
        with self._opened(build_id) as (connection, number, stated):
            check_count(stated, count_rows(connection, number))
            index_rows(connection, number, stated)
            manifest = with_width(PostgresBuild(connection, number, stated), stated)
            if "hnsw_ef_search" not in manifest.parameters:
                drop_vector_index(connection, number)

        def search(request: SearchRequest) -> list[Hit]:
            with self._database.transaction() as connection:
                return PostgresBuild(connection, number, manifest).search(request)

        sealed = manifest.model_copy(update={"recall_at_10": check(search)})
        with self._opened(build_id) as (connection, _, _):
            connection.execute(
                "UPDATE finecap.builds SET finished = true, manifest = %s WHERE number = %s",
                [sealed.model_dump_json(), number],
            )
        return sealed

    def promote(self, build_id: str, *, expect: str | None) -> None:
        """Make a finished build live if `expect` is live, by compare-and-swap in a transaction."""
        with self._database.transaction() as connection:
            connection.execute("SELECT FROM finecap.live FOR UPDATE")
            number, _ = _finished(connection, build_id)
            live = _live(connection)[0]
            check_expected(live, expect)
            if live != build_id:
                connection.execute(
                    "UPDATE finecap.live SET build = %s, previous = %s", [number, live]
                )

    def builds(self) -> list[Manifest]:
        """Finished builds, oldest first."""
        with self._database.transaction() as connection:
            found = connection.execute("SELECT manifest FROM finecap.builds WHERE finished")
            manifests = [Manifest.model_validate(manifest) for (manifest,) in found]
        return oldest_first(manifests)

    def manifest(self, build_id: str) -> Manifest:
        """What a finished build says of itself."""
        with self._database.transaction() as connection:
            return _finished(connection, build_id)[1]

    def live(self) -> str | None:
        """Name of the live build."""
        with self._database.transaction() as connection:
            return _live(connection)[0]

    def previous(self) -> str | None:
        """Name of the build that was live before the live one."""
        with self._database.transaction() as connection:
            return _live(connection)[1]

    def drop(self, build_id: str) -> None:
        """Delete a build that is not live; waits for searches under way in it."""
        with self._database.transaction() as connection:
            connection.execute("SELECT FROM finecap.live FOR UPDATE")
            if build_id == _live(connection)[0]:
                raise IndexRefused(f"build {build_id} is live: promote another one first")
            held = _build(connection, build_id)
            if held is None:
                raise NoSuchBuild(f"no build {build_id} in the database")
            drop_rows(connection, held[0])

    def close(self) -> None:
        """Close connections that are idle; the next use connects again."""
        self._database.close()

    @contextmanager
    def _opened(self, build_id: str) -> Generator[tuple[Connection, int, Manifest]]:
        """A transaction in which the open build stays open; it may be written by others too."""
        with self._database.transaction() as connection:
            found = connection.execute(
                "SELECT number, manifest FROM finecap.builds "
                "WHERE build_id = %s AND NOT finished FOR UPDATE",
                [build_id],
            ).fetchone()
            if found is None:
                raise not_open(build_id, is_finished=_build(connection, build_id) is not None)
            yield connection, found[0], Manifest.model_validate(found[1])

    @contextmanager
    def _reading(self, build_id: str | None) -> Generator[PostgresBuild]:
        """The live build, or the one named, for one question."""
        with self._database.transaction() as connection:
            name = build_id or _live(connection)[0]
            if name is None:
                raise NoSuchBuild("no build is live in the database: run the pipeline to its index")
            number, manifest = _finished(connection, name)
            try:
                yield PostgresBuild(connection, number, manifest)
            except errors.UndefinedTable as error:  # dropped between two statements
                raise NoSuchBuild(f"build {name} was dropped meanwhile: ask again") from error

    def _reclaim(self, number: int) -> None:
        """Keep a build that is filled again and again from growing."""
        with self._database.connection() as connection:
            reclaim_rows(connection, number)

    def _parameters(self, manifest: Manifest) -> dict[str, str | int | float | bool | list[str]]:
        """What the manifest says of the engine's indices."""
        stated: dict[str, str | int | float | bool | list[str]] = {
            "engine": "postgresql",
            "words": "bm25",
            "stop_words": list(STOP_WORDS),
            "vectors": "halfvec, exact",
        }
        if manifest.rows <= self._exact_up_to:
            return stated
        hnsw = {"hnsw_m": HNSW_M, "hnsw_ef_construction": HNSW_CONSTRUCTION}
        return {**stated, **hnsw, "vectors": "halfvec, hnsw", "exact_up_to": self._exact_up_to}


def _build(connection: Connection, build_id: str) -> tuple[int, bool] | None:
    """Number of the build and whether it is finished; it stays as it is in this transaction."""
    found = connection.execute(
        "SELECT number, finished FROM finecap.builds WHERE build_id = %s FOR UPDATE", [build_id]
    ).fetchone()
    return None if found is None else (found[0], found[1])


def _finished(connection: Connection, build_id: str) -> tuple[int, Manifest]:
    """Number and manifest of a finished build.

    Raises:
        NoSuchBuild: there is none of that name.
    """
    found = connection.execute(
        "SELECT number, manifest FROM finecap.builds WHERE build_id = %s AND finished", [build_id]
    ).fetchone()
    if found is None:
        raise NoSuchBuild(f"no finished build {build_id} in the database")
    return found[0], Manifest.model_validate(found[1])


def _live(connection: Connection) -> tuple[str | None, str | None]:
    """Names of the live build and of the one before it."""
    found = connection.execute(
        "SELECT build_id, previous FROM finecap.live "
        "LEFT JOIN finecap.builds ON builds.number = live.build"
    ).fetchone()
    return cast("tuple[str | None, str | None]", found)


def _tell_models(connection: Connection, number: int, manifest: Manifest) -> None:
    """Which model versions the build was made with, as rows that can be joined."""
    for role, model in (("captioner", manifest.captioner), ("encoder", manifest.encoder)):
        connection.execute(
            "INSERT INTO finecap.models VALUES (%s, %s, %s, %s, %s, %s)",
            [number, role, model.name, model.version, model.run_id, model.digest],
        )
