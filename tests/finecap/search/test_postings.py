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


@settings(max_examples=50, deadline=None)
@given(ROWS, FILTERS)
def test_masks_and_counts_are_what_passes_says(tmp_path_factory, rows, filter_):
    folder = tmp_path_factory.mktemp("postings")
    write_postings(folder, {name: [row[name] for row in rows] for name in FIELDS})
    postings = Postings(folder, len(rows))
    truth = [passes(filter_, row) for row in rows]
    mask = postings.mask(filter_)
    assert mask.tolist() == truth
    for name, counts in postings.counts(mask).items():
        said = [v for row, yes in zip(rows, truth, strict=True) if yes for v in set(row[name])]
        assert counts == {value: said.count(value) for value in set(said)}
    everything = np.ones(len(rows), dtype=bool)
    assert postings.counts(None) == postings.counts(everything)


def test_empty_values_are_no_values(tmp_path):
    write_postings(tmp_path, {name: [["", "x"], [""]] for name in FIELDS})
    assert Postings(tmp_path, 2).counts(None)["split"] == {"x": 1}


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(IndexRefused, match=r"no values\.json, expected a build of this version"):
        Postings(tmp_path, 2)
    write_postings(tmp_path, {name: [["x"]] for name in FIELDS})
    np.save(tmp_path / "postings.npy", np.zeros(3, np.int32))
    with pytest.raises(IndexRefused, match=r"values\.json counts 7 rows"):
        Postings(tmp_path, 1)
