from dataclasses import replace

import numpy as np

from finecap.search.index import Derived, StoredCaption
from finecap.search.lance_staging import arrow_of, row_of


def test_a_staged_row_is_the_row_it_was(gallery):
    said = StoredCaption("a boat", "human", derived=(Derived("boat a", False, "swap"),))
    rows = gallery.rows(gallery.captions, gallery.vectors(8))
    rows[0] = replace(rows[0], others=(said,), hidden="grid.bin#0", caption_vector=rows[1].vector)
    table = arrow_of(rows, 8)
    assert str(table.schema.field("vector").type) == "fixed_size_list<item: halffloat>[8]"
    bare = {"vector": None, "caption_vector": None}
    back = [row_of(record) for record in table.to_pylist()]
    assert [replace(row, **bare) for row in back] == [replace(row, **bare) for row in rows]
    assert np.allclose(back[0].caption_vector, rows[1].vector, atol=1e-3)
