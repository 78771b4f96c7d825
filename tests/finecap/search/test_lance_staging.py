from dataclasses import replace

import numpy as np

from finecap.search.index import StoredCaption
from finecap.search.lance_staging import arrow_of, schema
from finecap.search.stored_rows import packed


def test_a_staged_row_is_the_row_as_it_will_be_stored(gallery):
    rows = gallery.rows(gallery.captions, gallery.vectors(8))
    rows[0] = replace(rows[0], others=(StoredCaption("a boat", "human"),), hidden="grid.bin#0")
    table = arrow_of(rows, 8)
    assert table.schema == schema(8)
    assert str(table.schema.field("vector").type) == "fixed_size_list<item: halffloat>[8]"
    assert table.column("image").to_pylist() == [row.image for row in rows]
    assert table.column("row").to_pylist() == list(map(packed, rows))
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    assert np.allclose(flat.reshape(8, 8), gallery.vectors(8), atol=1e-3)
