import psycopg
import pytest

from finecap.search.index import IndexRefused
from finecap.search.postgres_schema import Database, migrate


def test_migrating_again_changes_nothing(postgres):
    url = postgres.bare()
    for _ in range(2):
        with psycopg.connect(url, autocommit=True) as connection:
            migrate(connection)
            versions = connection.execute("SELECT version FROM finecap.schema_version").fetchall()
            assert versions == [(1,)]


def test_the_first_use_of_a_bare_database_makes_the_schema(postgres):
    with Database(postgres.bare()).transaction() as connection:
        assert connection.execute("SELECT count(*) FROM finecap.builds").fetchone() == (0,)


def test_a_schema_of_a_later_finecap_is_refused(postgres):
    with psycopg.connect(postgres.migrated(), autocommit=True) as connection:
        connection.execute("UPDATE finecap.schema_version SET version = 99")
        with pytest.raises(IndexRefused, match="schema is version 99, this finecap knows 1"):
            migrate(connection)


def test_a_failed_migration_leaves_nothing_behind(postgres, monkeypatch):
    monkeypatch.setattr(
        "finecap.search.postgres_schema._MIGRATIONS", ("CREATE TABLE finecap.a ()", "no SQL")
    )
    with psycopg.connect(postgres.bare(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.SyntaxError):
            migrate(connection)
        assert connection.execute("SELECT to_regclass('finecap.a')").fetchone() == (None,)
