"""Errors that we foresaw get a status and words; others stay errors."""

import pytest

from finecap.data.transforms import ImageError
from finecap.search.index import IndexRefused, IndexUnreachable, NoSuchBuild
from finecap.search.query import QueryError
from finecap.server.refusals import Refused, as_refused


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (QueryError("the query is empty"), 400, "the query is empty"),
        (ImageError("no image"), 400, "no image"),
        (NoSuchBuild("x"), 503, "make run"),
        (IndexRefused("/secret/path is not"), 503, "words alone still works"),
        (IndexUnreachable("db.secret: refused"), 503, "the index cannot be reached. Try again"),
        (FileNotFoundError("/secret/path"), 503, "the server's log"),
        (Refused(410, "gone", "Search again"), 410, "gone. Search again"),
    ],
)
def test_what_was_foreseen_is_told(error: Exception, status: int, says: str):
    refused = as_refused(error)
    assert refused.status == status
    assert says in str(refused)
    assert "/secret" not in str(refused)


def test_what_was_not_foreseen_stays_an_error():
    with pytest.raises(ZeroDivisionError):
        as_refused(ZeroDivisionError())
