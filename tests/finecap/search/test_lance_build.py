"""What the engine refuses to open."""

import pytest

from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex


def test_a_build_that_is_not_its_manifests_is_refused(tmp_path, gallery):
    gallery.build(LanceIndex(tmp_path), "b")
    path = tmp_path / "builds" / "b" / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 8', '"rows": 9'))
    with pytest.raises(IndexRefused, match=r"its manifest says \(9, 9, 8\)"):
        LanceIndex(tmp_path).search(SearchRequest("boat"), "b")
