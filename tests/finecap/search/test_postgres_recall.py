import numpy as np
import pytest

from finecap.search.index import SearchRequest
from finecap.search.postgres import PostgresIndex
from finecap.search.postgres_build import PostgresBuild
from finecap.search.query import Has, Not


def clustered(rows, dims):
    """(N, D) around a few centres, as pictures lie."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((20, dims), dtype=np.float32)
    near = centres[draw.integers(20, size=rows)] + 0.5 * draw.standard_normal(
        (rows, dims), dtype=np.float32
    )
    return near / np.linalg.norm(near, axis=1, keepdims=True)


@pytest.fixture
def sealed(postgres, gallery):
    """sealed(vectors) is the manifest of a build of these with an approximate index, and it."""
    index = PostgresIndex(postgres.migrated(), exact_up_to=10)

    def build(vectors):
        rows, dims = vectors.shape
        index.create(gallery.manifest("b", rows, dims))
        index.upsert("b", gallery.rows(["a boat"] * rows, vectors))
        return index.finish("b", lambda _: 1.0), index

    return build


def test_a_width_that_finds_enough_is_stated(sealed):
    manifest, _ = sealed(clustered(600, 16))
    assert manifest.parameters["hnsw_ef_search"] == 100
    assert manifest.parameters["vectors"] == "halfvec, hnsw"


def test_an_index_that_finds_too_little_is_not_used(sealed, monkeypatch):
    monkeypatch.setattr("finecap.search.postgres_recall._ENOUGH", 1.01)
    vectors = clustered(600, 16)
    manifest, index = sealed(vectors)
    assert "hnsw_ef_search" not in manifest.parameters
    assert "exact: hnsw found" in manifest.parameters["vectors"]
    hits = index.search(SearchRequest(vector=vectors[3], limit=10), "b")
    truth = np.sort(vectors @ vectors[3])[-10:][::-1]
    assert np.allclose([hit.score for hit in hits], truth, atol=2e-3)


@pytest.mark.parametrize("estimated", [None, 0, 50, 600, 10**6])
def test_a_wrong_estimate_of_what_a_filter_leaves_loses_no_hit(
    postgres, gallery, monkeypatch, estimated
):
    vectors = clustered(600, 16)
    index = PostgresIndex(postgres.migrated(), exact_up_to=10)
    index.create(gallery.manifest("b", *vectors.shape))
    captions = ["a red boat" if row < 5 else "a boat" for row in range(600)]
    index.upsert("b", gallery.rows(captions, vectors))
    assert "hnsw_ef_search" in index.finish("b", lambda _: 1.0).parameters
    if estimated is not None:
        monkeypatch.setattr(PostgresBuild, "_estimated", lambda *_: estimated)
    red = Has("colour", "red")
    for left, passing in (
        (red, slice(5)),
        (Not(red), slice(5, None)),
        (Has("size", "x"), slice(0)),
    ):
        hits = index.search(SearchRequest(vector=vectors[3], filter=left, limit=10), "b")
        truth = np.sort(vectors[passing] @ vectors[3])[::-1][:10]
        assert np.allclose([hit.score for hit in hits], truth, atol=2e-3)
