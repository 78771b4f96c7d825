"""A build's rows in PostgreSQL while it is made: partitions, copies, indices, and their end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from psycopg import sql

from finecap.search.index import Manifest, Row, StoredCaption, stored_captions
from finecap.search.postgres_build import labels_of
from finecap.search.postgres_schema import Connection, partition
from finecap.search.postgres_types import Words

HNSW_M = 16
HNSW_CONSTRUCTION = 128

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "images": {
        "build": "int4", "image": "text", "path": "text", "caption": "text", "split": "text",
        "labels": "text[]", "words": "tsvector", "length": "int4",
        "vector": "halfvec", "hidden": "text",
    },
    "captions": {
        "build": "int4", "image": "text", "position": "int4", "caption": "text", "source": "text",
        "model_version": "text", "variant": "text", "is_current": "bool", "trained": "text[]",
        "vector": "halfvec",
    },
    "derived": {
        "build": "int4", "image": "text", "position": "int4", "number": "int4", "text": "text",
        "is_grammatical": "bool", "change": "text",
    },
}  # fmt: skip


def create_rows(connection: Connection, number: int) -> None:
    """Empty partitions for the build of that number."""
    for table in _COLUMNS:
        connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({})").format(
                partition(table, number), sql.Identifier("finecap", table), number
            )
        )


def copy_rows(connection: Connection, number: int, rows: Sequence[Row]) -> None:
    """Add rows whose images the build does not hold."""
    told = [(row, at, stored) for row in rows for at, stored in enumerate(stored_captions(row))]
    _copy(connection, number, "images", (_image(row) for row in rows))
    _copy(connection, number, "captions", (_caption(*caption) for caption in told))
    _copy(connection, number, "derived", (d for caption in told for d in _derived(*caption)))


def delete_rows(connection: Connection, number: int, images: Sequence[str]) -> int:
    """Remove these images and all that is said of them; how many records that were."""
    removed = 0
    for table in _COLUMNS:
        removed += connection.execute(
            sql.SQL("DELETE FROM {} WHERE image = ANY(%s)").format(partition(table, number)),
            [list(images)],
        ).rowcount
    return removed


def reclaim_rows(connection: Connection, number: int) -> None:
    """Let the space of removed records be used again; outside transactions."""
    for table in _COLUMNS:
        connection.execute(sql.SQL("VACUUM {}").format(partition(table, number)))


def count_rows(connection: Connection, number: int) -> int:
    """How many images the build holds."""
    query = sql.SQL("SELECT count(*) FROM {}").format(partition("images", number))
    return cast("tuple[int]", connection.execute(query).fetchone())[0]


def index_rows(connection: Connection, number: int, manifest: Manifest) -> None:
    """Index words, labels and, where the manifest says so, vectors; statistics for the planner."""
    images = partition("images", number)
    indices: dict[str, sql.Composable] = {
        "words": sql.SQL("gin (words)"),
        "labels": sql.SQL("gin (labels)"),
    }
    if "exact_up_to" in manifest.parameters:
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")  # past it HNSW slows tenfold
        indices["vector"] = sql.SQL(
            "hnsw ((vector::halfvec({})) halfvec_ip_ops) WITH (m = {}, ef_construction = {})"
        ).format(manifest.dims, HNSW_M, HNSW_CONSTRUCTION)
    for name, how in indices.items():
        named = sql.Identifier(f"images_{number}_{name}")
        connection.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {}").format(named, images, how)
        )
    connection.execute(sql.SQL("ANALYZE {}").format(images))
    _count_words(connection, number)


def drop_vector_index(connection: Connection, number: int) -> None:
    """Without effect where there is none."""
    name = sql.Identifier("finecap", f"images_{number}_vector")
    connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name))


def _count_words(connection: Connection, number: int) -> None:
    """What BM25 needs to know of all captions: how many say a word, and their mean length."""
    images = partition("images", number)
    connection.execute("DELETE FROM finecap.words WHERE build = %s", [number])
    words = sql.SQL("SELECT words FROM {}").format(images).as_string(connection)
    connection.execute(
        "INSERT INTO finecap.words SELECT %s, word, ndoc FROM ts_stat(%s)", [number, words]
    )
    connection.execute(
        sql.SQL(
            "UPDATE finecap.builds SET mean_length = (SELECT avg(length) FROM {}) WHERE number = %s"
        ).format(images),
        [number],
    )


def drop_rows(connection: Connection, number: int) -> None:
    """Delete the build of that number with all its partitions."""
    for table in _COLUMNS:
        connection.execute(sql.SQL("DROP TABLE {}").format(partition(table, number)))
    connection.execute("DELETE FROM finecap.builds WHERE number = %s", [number])


def _copy(
    connection: Connection, number: int, table: str, records: Iterator[tuple[Any, ...]]
) -> None:
    columns = _COLUMNS[table]
    query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        partition(table, number), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(list(columns.values()))
        for record in records:
            copy.write_row((number, *record))


def _image(row: Row) -> tuple[Any, ...]:
    """The record of `images`, less the build's number."""
    words = Words(row.caption)
    return (
        row.image, row.path, row.caption, row.split, labels_of(row), words, words.length,
        row.vector, row.hidden,
    )  # fmt: skip


def _caption(row: Row, position: int, stored: StoredCaption) -> tuple[Any, ...]:
    """A record of `captions`."""
    return (
        row.image, position, stored.caption, stored.source, stored.model_version, stored.variant,
        stored.is_current, list(stored.trained), stored.vector,
    )  # fmt: skip


def _derived(row: Row, position: int, stored: StoredCaption) -> Iterator[tuple[Any, ...]]:
    """Records of `derived`."""
    for i, made in enumerate(stored.derived):
        yield row.image, position, i, made.text, made.is_grammatical, made.change
