"""How well every engine answers: against plain BM25 and brute force, on two thousand rows.

What it must answer at all is `test_index.py`'s. Engines rank words by BM25 and say so; vectors are
found exactly or nearly so, with and without filters of every selectivity.
"""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from finecap.config import IndexConfig
from finecap.log import silent
from finecap.search.build import build_index, live_build, promote_build
from finecap.search.index import IndexRefused, NoSuchBuild, SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.postgres import PostgresIndex
from finecap.search.query import Has
from tests.finecap.search.drawn import drawn_captions, zipf_captions
from tests.finecap.search.oracle import PlainBM25, nearest_scores

ROWS, DIMS = 2000, 32
SELECTIVE = {
    "0.1 %": lambda i: i % 1000 == 7,
    "1 %": lambda i: i % 100 == 1,
    "12 %": lambda i: i % 25 < 3,
    "90 %": lambda i: i % 10 != 0,
}
DRAWS = {"drawn": drawn_captions, "zipf": zipf_captions}


@pytest.fixture(scope="module", params=["lance", "postgres", "postgres hnsw"])
def engine_of_2000(request, tmp_path_factory):
    if request.param == "lance":
        return LanceIndex(tmp_path_factory.mktemp("contract"))
    url = request.getfixturevalue("postgres").migrated()
    return PostgresIndex(url, exact_up_to=100 if "hnsw" in request.param else 20_000)


@pytest.fixture(scope="module")
def vectors():
    """(N, D), in clusters as pictures are."""
    draw = np.random.default_rng(3)
    centres = draw.standard_normal((40, DIMS), dtype=np.float32)
    near = centres[draw.integers(40, size=ROWS)]
    near = near + 0.6 * draw.standard_normal((ROWS, DIMS), dtype=np.float32)
    return near / np.linalg.norm(near, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def full(engine_of_2000, vectors, makers):
    """The engine with a build of every kind of drawn captions, attributes of every selectivity."""
    for name, draw in DRAWS.items():
        rows = [
            replace(row, attributes={"object": [o for o, holds in SELECTIVE.items() if holds(i)]})
            for i, row in enumerate(makers.rows(draw(ROWS, 0), vectors))
        ]
        engine_of_2000.create(makers.manifest(name, ROWS, DIMS))
        engine_of_2000.upsert(name, rows)
        engine_of_2000.finish(name, lambda _: 1.0)
    return engine_of_2000


def row_of(hit):
    return int(hit.image[7:13])


def known_items(captions, count):
    """(query, row): three words of a caption to find it by."""
    draw = np.random.default_rng(5)
    for row in draw.integers(len(captions), size=count):
        words = [w for w in captions[row].split() if len(w) > 2]
        yield " ".join(draw.choice(words, size=3)), int(row)


def reciprocal_rank(scores, row):
    """Of the row, images that tie sharing the best rank, as a person would see it."""
    return 1 / (1 + int((scores > scores[row] + 1e-6).sum())) if scores[row] > 0 else 0.0


@pytest.mark.parametrize("kind", DRAWS)
def test_words_are_ranked_as_plain_bm25_ranks_them_and_find_known_items_as_well(full, kind):
    captions = DRAWS[kind](ROWS, 0)
    oracle = PlainBM25(captions)
    overlap, ours, truth = [], [], []
    for query, row in known_items(captions, 25):
        scores = oracle.scores(query)
        hits = full.search(SearchRequest(query, limit=200), kind)
        tenth = np.sort(scores)[-10]
        overlap.append(np.mean([scores[row_of(hit)] >= tenth - 1e-6 for hit in hits[:10]]))
        found = np.zeros(ROWS)
        for hit in hits:
            found[row_of(hit)] = hit.bm25_score
        ours.append(reciprocal_rank(found, row))
        truth.append(reciprocal_rank(scores, row))
        assert {hit.words_by for hit in hits} == {"bm25"}
    assert np.mean(overlap) >= 0.8
    assert np.mean(ours) >= 0.9 * np.mean(truth)


@pytest.mark.parametrize("selectivity", [None, *SELECTIVE])
def test_recall_at_10_is_that_of_brute_force_under_every_filter(full, vectors, selectivity):
    holds = SELECTIVE.get(selectivity, lambda _: True)
    passing = np.array([holds(i) for i in range(ROWS)])
    filter_ = Has("object", selectivity) if selectivity else None
    draw = np.random.default_rng(9)
    wanted = min(10, int(passing.sum()))
    found = 0
    for _ in range(10):
        query = vectors[draw.integers(ROWS)] + 0.3 * draw.standard_normal(DIMS, dtype=np.float32)
        query /= np.linalg.norm(query)
        scores = nearest_scores(vectors, query, passing)
        hits = full.search(SearchRequest(vector=query, filter=filter_), "drawn")
        assert len(hits) == wanted
        assert all(passing[row_of(hit)] for hit in hits)
        found += sum(scores[row_of(hit)] >= np.sort(scores)[-wanted] - 1e-3 for hit in hits)
    assert found >= 0.95 * 10 * wanted


def test_every_hit_of_words_keeps_to_its_filter(full):
    for selectivity, holds in SELECTIVE.items():
        request = SearchRequest("red boat", filter=Has("object", selectivity), limit=50)
        hits = full.search(request, "drawn")
        assert all(holds(row_of(hit)) for hit in hits)
        assert hits or selectivity == "0.1 %"


def test_equal_scores_come_in_image_order_every_time(full, vectors):
    request = SearchRequest("red boat sea", vectors[0], limit=40)
    for asked in (request, replace(request, vector=None), replace(request, text="")):
        first = full.search(asked, "drawn")
        assert full.search(asked, "drawn") == first
        keys = [(-hit.score, hit.image) for hit in first]
        assert keys == sorted(keys)


@pytest.mark.parametrize(
    "text",
    ["", "the of a", "'\"", "a", "'; DROP TABLE finecap.images; --", "🚤 ⛵", "x " * 5_000,
     "red & ! ( | boat:*", "100%_\\", "ﬁre\u200d", "boat\0s"],
)  # fmt: skip
def test_odd_words_answer(full, vectors, text):
    assert isinstance(full.search(SearchRequest(text, limit=3), "drawn"), list)
    assert len(full.search(SearchRequest(text, vectors[0], limit=3), "drawn")) == 3
    assert set(full.facets(text=text, build_id="drawn"))


class TestBuilding:
    @pytest.fixture
    def build(self, engine, home, gallery, reference, monkeypatch):
        """build(**changes) builds the small gallery in that engine."""
        opened = engine()
        monkeypatch.setattr("finecap.search.build.open_index", lambda _: opened)

        def run(captions=gallery.captions):
            images = [gallery.image(i) for i in range(len(captions))]
            table = pd.DataFrame({"image": images, "caption": captions})
            table.to_parquet(home / "captions.parquet")
            return build_index(
                home / "captions.parquet",
                gallery.vectors(len(captions)),
                images,
                home / "index",
                captioner=reference("captioner"),
                encoder=reference("encoder"),
                data_md5="d",
                data_folder="data",
                created_at="2026",
                config=IndexConfig(),
                log=silent,
            )

        return run

    def test_building_the_same_again_changes_nothing(self, build, index, home):
        first = build()
        promote_build(home / "index", first.build_id, expect=None)
        before = index.search(SearchRequest("red boat"))
        assert build() == first
        assert live_build(home / "index") == first.build_id
        assert index.builds() == [first]
        assert index.search(SearchRequest("red boat")) == before

    def test_rows_given_twice_are_there_once(self, index, gallery):
        rows = gallery.rows(gallery.captions, gallery.vectors(8))
        gallery.build(index, "once")
        index.create(gallery.manifest("twice", 8))
        for _ in range(2):
            index.upsert("twice", rows)
        index.finish("twice", lambda _: 1.0)
        request = SearchRequest("red boat", rows[0].vector)
        assert index.search(request, "once") == index.search(request, "twice")
        assert index.facets(build_id="once") == index.facets(build_id="twice")

    def test_a_manifest_of_other_rows_is_refused(self, index, gallery):
        index.create(gallery.manifest("b", 9))
        index.upsert("b", gallery.rows(gallery.captions, gallery.vectors(8)))
        with pytest.raises(IndexRefused, match="holds 8 rows, its manifest says 9"):
            index.finish("b", lambda _: 1.0)

    def test_a_name_with_nul_is_refused(self, index, gallery):
        index.create(gallery.manifest("b", 1))
        with pytest.raises(IndexRefused, match="holds NUL"):
            index.upsert("b", gallery.rows(["a boat\0"], gallery.vectors(1)))


def test_a_builder_is_noticed_while_it_builds(index, engine):
    assert not index.is_building()
    with engine().building():
        assert index.is_building()
    assert not index.is_building()


class TestVersions:
    def test_rollback_restores_earlier_answers_exactly(self, index, gallery):
        gallery.build(index, "one")
        index.promote("one", expect=None)
        request = SearchRequest("red boat", gallery.vectors(8)[0])
        before = index.search(request), index.facets(), index.captions(gallery.image(0))
        gallery.build(index, "two", ["a purple kite"] * 8)
        index.promote("two", expect="one")
        assert index.search(request) != before[0]
        index.promote(index.previous(), expect="two")
        assert (index.search(request), index.facets(), index.captions(gallery.image(0))) == before

    def test_a_reader_never_sees_two_builds_in_one_page(self, engine, index, gallery):
        for name, caption in (("one", "a red boat"), ("two", "a blue boat")):
            gallery.build(index, name, [caption] * 8)
        index.promote("one", expect=None)
        pages, stop = [], threading.Event()

        def read():
            reader = engine()
            while not stop.is_set():
                pages.append({hit.caption for hit in reader.search(SearchRequest("boat"))})

        thread = threading.Thread(target=read)
        thread.start()
        for live, new in 10 * [("one", "two"), ("two", "one")]:
            index.promote(new, expect=live)
        stop.set()
        thread.join()
        assert pages
        assert all(len(page) == 1 for page in pages)

    def test_a_page_of_a_named_build_stays_when_another_goes_live(self, index, gallery):
        gallery.build(index, "one")
        index.promote("one", expect=None)
        first = index.search(SearchRequest("boat", limit=1), "one")
        gallery.build(index, "two", ["a blue boat"] * 8)
        index.promote("two", expect="one")
        assert index.search(SearchRequest("boat", limit=2), "one")[:1] == first

    def test_a_build_that_another_process_dropped_is_no_build(self, engine, index, gallery):
        gallery.build(index, "one")
        reader = engine()
        assert reader.search(SearchRequest("boat"), "one")
        index.drop("one")
        with pytest.raises(NoSuchBuild, match="no finished build one"):
            reader.search(SearchRequest("boat"), "one")
        with pytest.raises(NoSuchBuild, match="no finished build one"):
            reader.facets(build_id="one")


def test_50_cycles_of_upsert_and_optimise_keep_the_disk_bounded(index, disk_bytes, gallery):
    captions = drawn_captions(300, 0)
    rows = gallery.rows(captions, gallery.vectors(300))
    index.create(gallery.manifest("b", 300))
    sizes = []
    for _ in range(50):
        index.upsert("b", rows)
        sizes.append(disk_bytes())
    assert max(sizes) <= 4 * sizes[0]
    index.finish("b", lambda _: 1.0)
    assert len(index.rows([gallery.image(299)], "b")) == 1
