from dataclasses import replace

import numpy as np
import pytest

from finecap.search.index import Derived, Hit, IndexRefused, StoredCaption
from finecap.search.stored_rows import StoredRows, packed, shown, write_rows


@pytest.fixture
def rows(gallery):
    return gallery.rows(gallery.captions * 5, gallery.vectors(40))


def write(folder, rows):
    write_rows(folder, [row.image for row in rows], map(packed, rows))


def test_rows_are_found_by_number_and_by_image(tmp_path, rows):
    write(tmp_path, rows)
    stored = StoredRows(tmp_path)
    for number, row in enumerate(rows):
        assert stored.number(row.image) == number
        assert replace(stored.row(number), vector=None) == replace(row, vector=None)
    for image in ("", "images/000003", "zzz"):
        assert stored.number(image) is None


def test_all_that_was_said_is_kept(tmp_path, rows):
    derived = (Derived("boat a", False, "swap"),)
    said = StoredCaption("ein Boot ⛵", "human", derived=derived, trained=("clip/1",))
    seen = replace(said, vector=rows[1].vector)
    write(tmp_path, [replace(rows[0], others=(said, seen), caption_vector=rows[0].vector)])
    back = StoredRows(tmp_path).row(0)
    assert back.others == (said, seen)
    assert back.others[0].vector is None
    assert np.allclose(back.others[1].vector, rows[1].vector, atol=1e-3)
    assert np.allclose(back.caption_vector, rows[0].vector, atol=1e-3)


def test_a_build_of_another_version_is_refused(tmp_path, rows):
    with pytest.raises(
        IndexRefused, match=r"no blocks\.json and rows\.npy of this version: build the"
    ):
        StoredRows(tmp_path)
    write(tmp_path, rows)
    np.save(tmp_path / "rows.npy", np.arange(3))
    with pytest.raises(IndexRefused, match=r"rows\.npy of this version"):
        StoredRows(tmp_path)


def test_a_hit_shows_what_its_row_says(tmp_path, rows):
    write(tmp_path, rows)
    stored = StoredRows(tmp_path)
    for number in (39, 0, 17):
        row = rows[number]
        hit = Hit(row.image, row.path, row.caption, 0.0, attributes=row.attributes)
        assert stored.hit(number) == hit
        assert stored.hit(number) is stored.hit(number)


def test_a_packed_row_says_what_filters_ask(rows):
    caption, values = shown(packed(rows[1]))
    assert caption == rows[1].caption
    said = {"split": ["val"], "model_version": ["1"]}
    assert {name: list(v) for name, v in values.items()} == said | {
        name: list(v) for name, v in rows[1].attributes.items()
    }


def test_long_rows_have_blocks_of_their_own(tmp_path, rows):
    said = [StoredCaption(f"caption number {i} of this image", "human") for i in range(60)]
    given = [rows[0], replace(rows[1], others=said), *rows[2:]]
    write(tmp_path, given)
    stored = StoredRows(tmp_path)
    starts = np.load(tmp_path / "rows.npy")
    assert starts[:, 1].tolist()[:3] == [0, 1, 2]
    assert starts[-1].tolist() == [(tmp_path / "rows.bin").stat().st_size, 40]
    assert [len(stored.row(number).others) for number in (0, 1, 2)] == [0, 60, 0]
