import pytest

from finecap.search import lance_captions
from finecap.search.index import SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.lance_captions import sql
from finecap.search.query import And, Has, Not, Or
from tests.finecap.search.drawn import drawn_captions


def test_a_filter_becomes_quoted_sql():
    filter_ = And((Has("colour", "r'd"), Or((Has("split", "a"), Not(Has("size", "b"))))))
    assert sql(filter_) == (
        "(array_has_any(colour, ['r''d']) AND (split = 'a' OR (NOT array_has_any(size, ['b']))))"
    )


@pytest.mark.parametrize("margin", [1, 4])
def test_sifted_and_filtered_answers_are_the_same(tmp_path, gallery, monkeypatch, margin):
    index = LanceIndex(tmp_path / "index")
    gallery.build(index, "b", drawn_captions(600, 0))
    filters = [Has("colour", "red"), Not(Has("colour", "red")), Has("background", "sea")]
    requests = [SearchRequest(t, filter=f) for f in filters for t in ("boat", "red cat near")]
    monkeypatch.setattr(lance_captions, "_SIFTED_MARGIN", margin)
    sifted = [index.search(request, "b") for request in requests]
    monkeypatch.setattr(lance_captions, "_SIFTED_MOST", 0)
    assert sifted == [index.search(request, "b") for request in requests]
