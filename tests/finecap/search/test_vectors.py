import numpy as np
import pytest

from finecap.search.codes import Codes, write_codes
from finecap.search.vectors import FlatVectors, write_vectors


@pytest.fixture(params=["scan", "codes"])
def flat(request, tmp_path, gallery):
    vectors = gallery.vectors(300, 16)
    return vectors, opened(tmp_path, vectors, with_codes=request.param == "codes")


def opened(folder, vectors, *, with_codes):
    halves = vectors.astype(np.float16)
    write_vectors(folder / "v.npy", halves)
    write_codes(folder, halves)
    return FlatVectors(folder / "v.npy", Codes(folder) if with_codes else None)


def of_unit_length(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


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


@pytest.fixture(params=["directions", "clusters", "one cone"])
def many(request, gallery):
    """Vectors as encoders make them: all over, in heaps, or all alike but for a little."""
    draw = np.random.default_rng(1)
    if request.param == "directions":
        return gallery.vectors(3000, 24)
    if request.param == "clusters":
        heaps = gallery.vectors(30, 24)[draw.integers(30, size=3000)]
        return of_unit_length(heaps + 0.05 * draw.standard_normal((3000, 24)))
    cone = np.zeros(24)
    cone[[3, 7]] = 20, -9
    return of_unit_length(cone + draw.standard_normal((3000, 24)))


@pytest.mark.parametrize("share", [1, 0.9, 0.1, 0.01])
@pytest.mark.parametrize("limit", [1, 10, 110])
def test_a_first_look_changes_no_answer(tmp_path, many, share, limit):
    scan = opened(tmp_path, many, with_codes=False)
    look = opened(tmp_path, many, with_codes=True)
    draw = np.random.default_rng(2)
    left = None if share == 1 else np.flatnonzero(draw.random(len(many)) < share)
    for row in draw.integers(len(many), size=5):
        query = of_unit_length(many[row] + 0.05 * draw.standard_normal(many.shape[1]))
        truth, found = scan.nearest(query, limit, left), look.nearest(query, limit, left)
        assert [score for _, score in found] == pytest.approx(
            [score for _, score in truth], abs=1e-6
        )
        assert {row for row, _ in found} == {row for row, _ in truth}


def test_a_first_look_is_seldom_followed_by_a_scan(tmp_path, gallery, monkeypatch):
    vectors = gallery.vectors(3000, 24)
    look = opened(tmp_path, vectors, with_codes=True)
    monkeypatch.setattr(FlatVectors, "_scanned", lambda *_: pytest.fail("scanned"))
    assert all(look.nearest(vector, 10)[0][0] == row for row, vector in enumerate(vectors[:50]))


def test_what_a_first_look_cannot_tell_apart_is_scanned(tmp_path, gallery):
    """The same picture many times over, as far as codes can see, and once the true one."""
    draw = np.random.default_rng(4)
    vectors = of_unit_length(gallery.vectors(1, 24) + 1e-3 * draw.standard_normal((3000, 24)))
    vectors[17] = -vectors[17]  # one far off makes the codes coarse
    look = opened(tmp_path, vectors, with_codes=True)
    stored = vectors.astype(np.float16).astype(np.float64)
    truth = np.sort(stored @ vectors[5].astype(np.float64))[-10:][::-1]
    found = look.nearest(vectors[5], 10)
    assert [score for _, score in found] == pytest.approx(truth.tolist(), abs=1e-6)


def test_equal_vectors_come_by_row_after_a_first_look_too(tmp_path, gallery):
    vectors = np.repeat(gallery.vectors(100, 24), 30, axis=0)
    look = opened(tmp_path, vectors, with_codes=True)
    assert [row for row, _ in look.nearest(vectors[60], 30)] == list(range(60, 90))
