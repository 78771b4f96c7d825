import numpy as np
import pytest

from finecap.search.codes import Codes, write_codes


@pytest.fixture
def vectors(gallery):
    shifted = gallery.vectors(500, 24) + np.eye(24, dtype=np.float32)[2]
    return (shifted / np.linalg.norm(shifted, axis=1, keepdims=True)).astype(np.float16)


def test_estimates_are_near_the_cosines(tmp_path, vectors):
    write_codes(tmp_path, vectors)
    query = vectors[7].astype(np.float32)
    rows, estimates = Codes(tmp_path).best(query, 500, None)
    assert sorted(rows) == list(range(500))
    assert np.abs(estimates - vectors[rows].astype(np.float32) @ query).max() < 0.02


def test_codes_take_a_byte_an_entry(tmp_path, vectors):
    write_codes(tmp_path, vectors)
    assert (tmp_path / "codes.npy").stat().st_size == 128 + vectors.size
    assert np.load(tmp_path / "centre.npy").shape == (25,)


def test_vectors_that_are_all_the_same_are_coded(tmp_path, vectors):
    same = np.repeat(vectors[:1], 9, axis=0)
    write_codes(tmp_path, same)
    query = vectors[0].astype(np.float32)
    _, estimates = Codes(tmp_path).best(query, 9, None)
    assert estimates == pytest.approx(np.full(9, query @ query), abs=1e-3)
