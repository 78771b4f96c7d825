"""What is the engine's own: its language for filters, and what it refuses to open."""

import pytest

from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.lance_build import sql
from finecap.search.query import And, Has, Not, Or


def test_a_filter_becomes_quoted_sql():
    filter_ = And((Has("colour", "r'd"), Or((Has("split", "a"), Not(Has("size", "b"))))))
    assert sql(filter_) == (
        "(array_has_any(colour, ['r''d']) AND (split = 'a' OR (NOT array_has_any(size, ['b']))))"
    )


def test_a_build_that_is_not_its_manifests_is_refused(tmp_path, gallery):
    gallery.build(LanceIndex(tmp_path), "b")
    path = tmp_path / "builds" / "b" / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 8', '"rows": 9'))
    with pytest.raises(IndexRefused, match=r"its manifest says \(9, 9, 8\)"):
        LanceIndex(tmp_path).search(SearchRequest("boat"), "b")
