"""A cursor goes on in its own build and in its own question, and in nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.search.query import QueryError
from finecap.server.asked import Asked
from finecap.server.cursors import Cursor

ASKED = Asked(q="red boat")


def test_a_cursor_reads_back():
    cursor = Cursor("ab12", 24, ASKED.digest)
    assert Cursor.read(str(cursor), ASKED) == cursor
    assert str(cursor).isascii()
    assert not set(str(cursor)) & set("+/=&")


def test_a_cursor_of_another_question_is_refused():
    with pytest.raises(QueryError, match="belongs to another question"):
        Cursor.read(str(Cursor("ab12", 24, ASKED.digest)), Asked(q="blue boat"))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.hex()))
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(QueryError, match="cursor is broken"):
        Cursor.read(text, ASKED)


@pytest.mark.parametrize("build_id", ["../secret", "a/b", "", ".hidden"])
def test_a_cursor_names_no_path(build_id: str):
    with pytest.raises(QueryError, match="cursor is broken"):
        Cursor.read(str(Cursor(build_id, 24, ASKED.digest)), ASKED)
