import numpy as np
import pytest

from finecap.search.vectors import FlatVectors, write_vectors


@pytest.fixture
def flat(tmp_path, gallery):
    vectors = gallery.vectors(300, 16)
    write_vectors(tmp_path / "v.npy", vectors.astype(np.float16))
    return vectors, FlatVectors(tmp_path / "v.npy")


def test_a_stored_vector_finds_itself_first(flat):
    vectors, index = flat
    for row in (0, 17, 299):
        found, score = index.nearest(vectors[row], 5)[0]
        assert found == row
        assert score == pytest.approx(1, abs=2e-3)


def test_the_scan_is_brute_force(flat):
    vectors, index = flat
    query = vectors[3] + vectors[5]
    query /= np.linalg.norm(query)
    truth = np.argsort(-(vectors.astype(np.float16).astype(np.float32) @ query))[:10]
    assert [row for row, _ in index.nearest(query, 10)] == truth.tolist()


def test_only_rows_left_by_the_filter_are_found(flat):
    vectors, index = flat
    left = np.array([1, 8, 9, 299])
    assert {row for row, _ in index.nearest(vectors[0], 10, left)} == set(left.tolist())
    assert index.nearest(vectors[0], 10, np.array([], dtype=np.int64)) == []
