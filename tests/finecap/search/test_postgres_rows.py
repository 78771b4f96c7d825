import psycopg
import pytest

from finecap.search.postgres import PostgresIndex


@pytest.mark.parametrize(("exact_up_to", "indices"), [(20_000, 2), (5, 3)])
def test_large_builds_alone_get_an_index_of_vectors(postgres, gallery, exact_up_to, indices):
    url = postgres.migrated()
    sealed = gallery.build(PostgresIndex(url, exact_up_to=exact_up_to), "one")
    with psycopg.connect(url) as connection:
        query = (
            "SELECT count(*) FROM pg_indexes WHERE indexname ~ '^images_1_(words|labels|vector)'"
        )
        assert connection.execute(query).fetchone() == (indices,)
        query = "SELECT word, captions FROM finecap.words WHERE word IN ('boat', 'umbrella', 'the')"
        assert set(connection.execute(query)) == {("boat", 4), ("umbrella", 1)}
    assert ("hnsw_m" in sealed.parameters) == (indices == 3)
