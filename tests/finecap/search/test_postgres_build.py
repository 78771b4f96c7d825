import psycopg
import pytest

from finecap.search.index import IndexRefused
from finecap.search.postgres_build import condition
from finecap.search.query import And, Has, Not, Or


@pytest.fixture(scope="module")
def written(postgres):
    """written(filter) is the condition as the server would read it, and its values."""
    with psycopg.connect(postgres.bare()) as connection:
        yield lambda filter_: (condition(filter_)[0].as_string(connection), condition(filter_)[1])


def test_values_of_a_filter_never_become_sql(written):
    filter_ = And((Has("colour", "r'd"), Or((Has("split", "a"), Not(Has("size", "b\0"))))))
    assert written(filter_) == (
        "(labels @> %s) AND ((labels @> %s) OR (NOT (labels @> %s)))",
        [["colour=r'd"], ["split=a"], ["size=b\ufffd"]],
    )


def test_a_filter_of_nothing_is_true_or_false(written):
    assert written(None)[0] == written(And(()))[0] == "true"
    assert written(Or(()))[0] == "false"


def test_an_unknown_field_is_refused():
    with pytest.raises(IndexRefused, match="unknown field 'shape'"):
        condition(Has("shape", "round"))
