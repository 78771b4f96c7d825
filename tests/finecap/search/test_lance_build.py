"""What the engine refuses to open."""

import json
import shutil

import numpy as np
import pytest

from finecap.search import lance_build
from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex


def test_a_build_that_is_not_its_manifests_is_refused(tmp_path, gallery):
    gallery.build(LanceIndex(tmp_path), "b")
    path = tmp_path / "builds" / "b" / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 8', '"rows": 9'))
    with pytest.raises(IndexRefused, match=r"its manifest says \(9, 9, 8\)"):
        LanceIndex(tmp_path).search(SearchRequest("boat"), "b")


def test_many_vectors_get_codes_and_few_do_not(tmp_path, gallery, monkeypatch):
    index = LanceIndex(tmp_path)
    gallery.build(index, "few")
    monkeypatch.setattr(lance_build, "WORTH_CODES", 64)
    gallery.build(index, "many")
    places = [tmp_path / "builds" / name / "codes.npy" for name in ("few", "many")]
    assert [place.is_file() for place in places] == [False, True]
    request = SearchRequest("boat", gallery.vectors(8)[3])
    few, many = (index.search(request, name) for name in ("few", "many"))
    assert [hit.image for hit in few] == [hit.image for hit in many]


@pytest.mark.parametrize("text", ["boats", "red car", "zebra", "the of"])
def test_facets_of_a_build_of_before_stems_were_noted_are_the_same(tmp_path, gallery, text):
    gallery.build(LanceIndex(tmp_path), "b")
    after = LanceIndex(tmp_path).facets(None, text, "b")
    folder = tmp_path / "builds" / "b"
    counts = json.loads((folder / "values.json").read_text())
    stems = counts.pop("said")
    (folder / "values.json").write_text(json.dumps(counts))
    np.save(folder / "bitmaps.npy", np.load(folder / "bitmaps.npy")[: -len(stems)])
    assert LanceIndex(tmp_path).facets(None, text, "b") == after


def test_a_build_of_an_earlier_format_is_refused_with_what_to_do(tmp_path, gallery):
    gallery.build(LanceIndex(tmp_path), "old")
    shutil.rmtree(tmp_path / "builds" / "old" / "words")
    with pytest.raises(IndexRefused, match=r"old has no words/, expected .*: build the index anew"):
        LanceIndex(tmp_path).search(SearchRequest("boat"), "old")
