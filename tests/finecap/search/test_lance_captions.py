import pytest

from finecap.search.index import SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.lance_captions import flags_of, sql
from finecap.search.postings import Postings, write_postings
from finecap.search.query import FIELDS, And, Has, Not, Or


@pytest.fixture
def postings(tmp_path):
    """Of 1200 rows: one is green, the others red."""
    colours = [["green"], *[["red"]] * 1199]
    values = {name: colours if name == "colour" else [[]] * 1200 for name in FIELDS}
    write_postings(tmp_path, values)
    return Postings(tmp_path, 1200)


def test_frequent_values_alone_have_a_column(postings):
    assert flags_of(postings) == {("colour", "red"): "flag_0"}


def test_a_filter_becomes_quoted_sql(postings):
    filter_ = And((Has("colour", "r'd"), Or((Has("split", "a"), Not(Has("colour", "red"))))))
    assert sql(filter_, flags_of(postings)) == (
        "(array_has_any(colour, ['r''d']) AND (split = 'a' OR (NOT flag_0 = 1)))"
    )


def test_frequent_and_rare_values_filter_alike(tmp_path, gallery):
    index = LanceIndex(tmp_path / "index")
    gallery.build(index, "b", ["a green boat", *["a red boat"] * 1199])
    for colour, count in (("green", 1), ("red", 1199), ("blue", 0)):
        request = SearchRequest("boat", filter=Has("colour", colour), limit=2000)
        assert len(index.search(request, "b")) == count
