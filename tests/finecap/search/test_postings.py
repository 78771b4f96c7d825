import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.search.index import IndexRefused
from finecap.search.postings import Postings, write_postings
from finecap.search.query import FIELDS, And, Has, Not, Or, passes

VALUES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES)), min_size=1, max_size=12)
LEAVES = st.builds(Has, st.sampled_from(FIELDS), st.sampled_from(["a", "b", "nowhere"]))
FILTERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=5,
)


STEMS = st.lists(st.sampled_from(["boat", "red", "sea"]), max_size=3)


@settings(max_examples=50, deadline=None)
@given(ROWS, FILTERS, st.integers(0, 200))
def test_masks_and_counts_are_what_passes_says(tmp_path_factory, rows, filter_, others):
    """With many rows of nothing behind them, the values are rare enough for lists of rows."""
    folder = tmp_path_factory.mktemp("postings")
    rows = [*rows, *[dict.fromkeys(FIELDS, ())] * others]
    columns = {name: [row[name] for row in rows] for name in FIELDS}
    write_postings(folder, columns, [""] * len(rows))
    postings = Postings(folder, len(rows))
    truth = [passes(filter_, row) for row in rows]
    mask = postings.mask(filter_)
    assert mask.tolist() == truth
    for name, counts in postings.counts(mask).items():
        said = [v for row, yes in zip(rows, truth, strict=True) if yes for v in set(row[name])]
        assert counts == {value: said.count(value) for value in set(said)}
    everything = np.ones(len(rows), dtype=bool)
    assert postings.counts(None) == postings.counts(everything)


@settings(max_examples=50, deadline=None)
@given(st.lists(STEMS, min_size=1, max_size=12), st.integers(0, 200), STEMS)
def test_rows_that_say_a_stem_are_found(tmp_path_factory, said, others, asked):
    folder = tmp_path_factory.mktemp("postings")
    said = [*said, *[[]] * others]
    write_postings(folder, dict.fromkeys(FIELDS, [()] * len(said)), map(" ".join, said))
    found = Postings(folder, len(said)).saying(frozenset(asked))
    assert found is not None
    assert found.tolist() == [not set(asked).isdisjoint(stems) for stems in said]


def test_a_build_of_before_stems_were_written_is_read(tmp_path):
    columns = {name: [["a"], ["a", "b"], []] for name in FIELDS}
    write_postings(tmp_path, columns, ["boat", "", ""])
    new = Postings(tmp_path, 3)
    lists = [np.flatnonzero(new.mask(Has(n, v))) for n in FIELDS for v in new.values(n)]
    counts = {name: dict(new.values(name)) for name in FIELDS}
    (tmp_path / "values.json").write_text(json.dumps(counts))
    (tmp_path / "bitmaps.npy").unlink()
    np.save(tmp_path / "postings.npy", np.concatenate(lists).astype(np.int32))
    old = Postings(tmp_path, 3)
    assert old.saying({"boat"}) is None
    mask = np.array([False, True, True])
    assert old.counts(mask) == new.counts(mask)
    assert old.mask(Has("size", "a")).tolist() == [True, True, False]


def test_empty_values_are_no_values(tmp_path):
    write_postings(tmp_path, {name: [["", "x"], [""]] for name in FIELDS}, ["", ""])
    assert Postings(tmp_path, 2).counts(None)["split"] == {"x": 1}


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(IndexRefused, match=r"no values\.json, expected a build of this version"):
        Postings(tmp_path, 2)
    write_postings(tmp_path, {name: [["x"]] for name in FIELDS}, [""])
    np.save(tmp_path / "postings.npy", np.zeros(3, np.int32))
    with pytest.raises(IndexRefused, match=r"values\.json counts 0 rows and 7 bitmaps"):
        Postings(tmp_path, 1)
