"""What lies in the folder, and what is said of damaged files; kills are `test_crashes.py`'s."""

import json

import pytest

from finecap.search.index import IndexRefused
from finecap.search.lance import LanceIndex


@pytest.fixture
def live(tmp_path, gallery):
    index = LanceIndex(tmp_path / "index")
    gallery.build(index, "one")
    index.promote("one", expect=None)
    return index


def test_a_second_promotion_of_the_live_build_keeps_the_way_back(live, gallery, tmp_path):
    gallery.build(live, "two")
    live.promote("two", expect="one")
    live.promote("two", expect="two")
    state = json.loads((tmp_path / "index" / "live.json").read_text())
    assert state == {"build": "two", "previous": "one"}


@pytest.mark.parametrize("text", ["[]", '{"build": 3}'])
def test_a_damaged_live_json_is_named(live, tmp_path, text):
    (tmp_path / "index" / "live.json").write_text(text)
    with pytest.raises(IndexRefused, match=r"live.json: expected"):
        live.live()


def test_a_damaged_manifest_is_named(live, tmp_path):
    path = tmp_path / "index" / "builds" / "one" / "manifest.json"
    path.write_text(path.read_text().replace('"dims"', '"sizes"'))
    with pytest.raises(IndexRefused, match=r"manifest.json is not a manifest"):
        live.builds()


@pytest.mark.usefixtures("live")
def test_a_finished_build_holds_no_staged_rows_and_half_precision_vectors(tmp_path):
    folder = tmp_path / "index" / "builds" / "one"
    assert {p.name for p in folder.iterdir()} == {
        "manifest.json",
        "words",
        "vectors.npy",
        "values.json",
        "postings.npy",
        "bitmaps.npy",
        "rows.bin",
        "rows.npy",
        "blocks.json",
    }
    assert not list((tmp_path / "index" / "building").iterdir())
    assert (folder / "vectors.npy").stat().st_size == 128 + 8 * 8 * 2
