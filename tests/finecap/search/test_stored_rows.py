from dataclasses import replace

import numpy as np
import pytest

from finecap.search.index import Derived, IndexRefused, StoredCaption
from finecap.search.stored_rows import StoredRows, write_rows


@pytest.fixture
def rows(gallery):
    return gallery.rows(gallery.captions * 5, gallery.vectors(40))


def test_rows_are_found_by_number_and_by_image(tmp_path, rows):
    write_rows(tmp_path, rows)
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
    write_rows(tmp_path, [replace(rows[0], others=(said, seen), caption_vector=rows[0].vector)])
    back = StoredRows(tmp_path).row(0)
    assert back.others == (said, seen)
    assert back.others[0].vector is None
    assert np.allclose(back.others[1].vector, rows[1].vector, atol=1e-3)
    assert np.allclose(back.caption_vector, rows[0].vector, atol=1e-3)


def test_a_build_of_another_version_is_refused(tmp_path):
    with pytest.raises(IndexRefused, match=r"no blocks\.json, expected a build of this version"):
        StoredRows(tmp_path)
