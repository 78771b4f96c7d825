import numpy as np
import psycopg
import pytest

from finecap.search.postgres_types import Words, register_types


@pytest.fixture(scope="module")
def connection(postgres):
    with psycopg.connect(postgres.migrated()) as connected:
        register_types(connected)
        yield connected


def test_a_vector_comes_back_at_half_precision(connection):
    vector = np.array([0.1, -0.5, 1.0], np.float32)
    with connection.cursor(binary=True) as cursor:
        (back,) = cursor.execute("SELECT %s", [vector]).fetchone()
    assert np.array_equal(back, vector.astype(np.float16).astype(np.float32))


def test_words_arrive_as_stems_with_their_places(connection):
    (stored,) = connection.execute(
        "SELECT %s::text", [Words("Boats on a boat, the sea!")]
    ).fetchone()
    assert stored == "'boat':1,2 'sea':3"


def test_one_word_is_counted_by_its_rank(connection):
    """What BM25 here stands on."""
    words = Words("boat sea boat boat")
    query = "SELECT ts_rank_cd('{1, 1, 1, 1}', %s, 'boat'::tsquery)"
    assert connection.execute(query, [words]).fetchone() == (3.0,)


@pytest.mark.parametrize("text", ["x" * 10_000, " ".join(["boat"] * 20_000), "", "日本 ⛵"])
def test_any_text_is_taken(connection, text):
    words = Words(text)
    connection.execute("SELECT %s, %s::tsquery", [words, words.any_of()])
