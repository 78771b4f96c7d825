"""The contract: what every engine answers. A new engine is one more parameter of `engine`."""

from dataclasses import replace

import numpy as np
import pytest

from finecap.search.index import (
    Derived,
    IndexRefused,
    NoSuchBuild,
    PromoteConflict,
    SearchRequest,
    StoredCaption,
)
from finecap.search.query import FIELDS, And, Has, Not, Or, passes, stem


@pytest.fixture
def live(index, gallery):
    """An index whose one build is live."""
    gallery.build(index, "one")
    index.promote("one", expect=None)
    return index


def images(hits):
    return [hit.image for hit in hits]


class TestSearch:
    def test_words_rank_captions_that_say_them_and_explain_why(self, live, gallery):
        hits = live.search(SearchRequest(text="yellow umbrellas"))
        assert images(hits) == [gallery.image(6)]
        assert hits[0].matched_words == ("yellow", "umbrella")
        assert (hits[0].bm25_rank, hits[0].vector_rank) == (1, None)
        assert hits[0].bm25_score == hits[0].score > 0
        assert hits[0].attributes["object"] == ("bird", "umbrella")

    def test_words_of_place_are_searched(self, live, gallery):
        assert images(live.search(SearchRequest(text="above")))[0] == gallery.image(3)

    def test_equal_captions_come_in_image_order_with_one_rank(self, live, gallery):
        hits = live.search(SearchRequest(text="red boat sea", limit=2))
        assert images(hits) == [gallery.image(0), gallery.image(5)]
        assert [hit.bm25_rank for hit in hits] == [1, 1]

    def test_a_row_vector_finds_its_image_first(self, live, gallery):
        vectors = gallery.vectors(len(gallery.captions))
        for row in range(len(vectors)):
            assert images(live.search(SearchRequest(vector=vectors[row])))[0] == gallery.image(row)

    def test_hybrid_breaks_ties_of_words_by_picture(self, live, gallery):
        vector = gallery.vectors(len(gallery.captions))[5]
        hits = live.search(SearchRequest(text="red boat on the sea", vector=vector, limit=3))
        assert images(hits)[:2] == [gallery.image(5), gallery.image(0)]
        assert hits[0].bm25_rank == hits[0].vector_rank == 1

    def test_picture_weight_moves_from_words_to_picture(self, live, gallery):
        vector = gallery.vectors(len(gallery.captions))[2]
        best = [
            images(live.search(SearchRequest("umbrella", vector, picture_weight=weight)))[0]
            for weight in (0.0, 1.0)
        ]
        assert best == [gallery.image(6), gallery.image(2)]

    def test_a_filter_alone_lists_what_it_leaves_in_image_order(self, live, gallery):
        hits = live.search(SearchRequest(filter=Has("colour", "red")))
        assert images(hits) == [gallery.image(i) for i in (0, 1, 5, 7)]

    @pytest.mark.parametrize(
        "filter_",
        [
            Has("colour", "red"),
            Has("split", "val"),
            Not(Has("background", "sea")),
            Not(Has("size", "large")),
            And((Has("object", "boat"), Not(Has("background", "night")))),
            Or((Has("relation", "left"), Has("background", "city"))),
            Has("colour", "no' OR 1=1 --"),
        ],
    )
    def test_every_way_of_searching_keeps_to_the_filter(self, live, gallery, filter_):
        rows = gallery.rows(gallery.captions, gallery.vectors(len(gallery.captions)))
        values = [{**row.attributes, "split": (row.split,)} for row in rows]
        truth = {r.image for r, v in zip(rows, values, strict=True) if passes(filter_, v)}
        for text, vector in (("", None), ("", rows[0].vector), ("boat car", rows[0].vector)):
            hits = live.search(SearchRequest(text, vector, filter_))
            assert set(images(hits)) == truth
        assert set(images(live.search(SearchRequest("boat", filter=filter_)))) <= truth

    @pytest.mark.parametrize("text", ["the of", "'\"", "🚤", "'; DROP TABLE x", "x" * 10_000])
    def test_odd_words_answer_without_error(self, live, text):
        assert live.search(SearchRequest(text)) == []

    @pytest.mark.parametrize(
        ("vector", "message"),
        [
            (np.zeros(8, np.float32), "length 0"),
            (np.full(8, np.nan, np.float32), "NaN"),
            (np.ones(3, np.float32), r"shape \(3,\), expected \(8,\)"),
        ],
    )
    def test_a_query_vector_that_does_not_fit_is_refused(self, live, vector, message):
        with pytest.raises(IndexRefused, match=message):
            live.search(SearchRequest(vector=vector))

    def test_an_unknown_field_and_a_silly_limit_are_refused(self, live):
        with pytest.raises(IndexRefused, match="unknown field 'shape'"):
            live.search(SearchRequest(filter=Has("shape", "round")))
        with pytest.raises(IndexRefused, match="limit is 0"):
            live.search(SearchRequest("boat", limit=0))

    def test_many_ties_are_cut_in_image_order(self, index, gallery):
        captions = ["a red boat"] * 120 + ["a blue boat"] * 10
        gallery.build(index, "ties", captions)
        hits = index.search(SearchRequest("red boat", limit=5), "ties")
        assert images(hits) == [gallery.image(i) for i in range(5)]


class TestBuilding:
    def test_upsert_replaces_delete_removes(self, index, gallery):
        rows = gallery.rows(gallery.captions, gallery.vectors(8))
        index.create(gallery.manifest("b", 7))
        index.upsert("b", rows[:5])
        index.upsert("b", gallery.rows(["a purple kite"], gallery.vectors(1)) + rows[5:])
        index.delete("b", [gallery.image(7), "never there", "it's"])
        index.finish("b", lambda _: 1.0)
        assert images(index.search(SearchRequest("kite"), "b")) == [gallery.image(0)]
        assert len(index.search(SearchRequest(filter=Not(Has("colour", "none"))), "b")) == 7

    def test_row_order_does_not_depend_on_the_order_of_ingest(self, index, gallery):
        rows = gallery.rows(gallery.captions, gallery.vectors(8))
        for name, given in (("a", rows), ("b", rows[::-1])):
            index.create(gallery.manifest(name, 8))
            for row in given:
                index.upsert(name, [row])
            index.finish(name, lambda _: 1.0)
        request = SearchRequest("red boat", rows[3].vector)
        assert index.search(request, "a") == index.search(request, "b")

    @pytest.mark.parametrize(
        ("vector", "message"),
        [
            (np.zeros(8, np.float32), "image images/000000.png: vector has length 0"),
            (np.full(8, np.inf, np.float32), "NaN or infinite"),
            (np.ones(9, np.float32), r"shape \(9,\)"),
        ],
    )
    def test_a_bad_vector_refuses_the_whole_batch(self, index, gallery, vector, message):
        index.create(gallery.manifest("b", 1))
        good = gallery.rows(["a boat", "a car"], gallery.vectors(2))[1:]
        with pytest.raises(IndexRefused, match=message):
            index.upsert("b", [*good, *gallery.rows(["a boat"], vector[None])])
        index.upsert("b", gallery.rows(["a boat"], gallery.vectors(1)))
        assert index.finish("b", lambda _: 1.0).rows == 1

    def test_an_image_twice_in_a_batch_is_refused(self, index, gallery):
        index.create(gallery.manifest("b", 1))
        with pytest.raises(IndexRefused, match="comes twice"):
            index.upsert("b", gallery.rows(["a boat"], gallery.vectors(1)) * 2)

    def test_a_build_with_rows_missing_is_refused(self, index, gallery):
        index.create(gallery.manifest("b", 2))
        index.upsert("b", gallery.rows(["a boat"], gallery.vectors(1)))
        with pytest.raises(IndexRefused, match="holds 1 rows, its manifest says 2"):
            index.finish("b", lambda _: 1.0)
        assert index.builds() == []

    def test_a_failed_check_leaves_the_build_invisible(self, index, gallery):
        def failing(search):
            assert images(search(SearchRequest("boat"))) == [gallery.image(0)]
            raise IndexRefused("recall too low")

        index.create(gallery.manifest("b", 1))
        index.upsert("b", gallery.rows(["a boat"], gallery.vectors(1)))
        with pytest.raises(IndexRefused, match="recall too low"):
            index.finish("b", failing)
        assert index.builds() == []
        with pytest.raises(NoSuchBuild, match="no finished build b"):
            index.promote("b", expect=None)

    def test_a_finished_build_says_its_recall_and_never_changes(self, index, gallery):
        sealed = gallery.build(index, "one")
        assert index.builds() == [sealed]
        assert sealed.recall_at_10 == 1.0
        assert sealed.parameters
        with pytest.raises(IndexRefused, match="is finished"):
            index.upsert("one", [])
        with pytest.raises(IndexRefused, match="is finished"):
            index.create(gallery.manifest("one", 8))

    def test_captions_without_attributes_are_fine(self, index, gallery):
        gallery.build(index, "bare", ["hello", "world"])
        assert images(index.search(SearchRequest("world"), "bare")) == [gallery.image(1)]


class TestReading:
    @pytest.mark.parametrize(
        ("filter_", "text"),
        [
            (None, ""),
            (Has("colour", "red"), ""),
            (Not(Has("background", "sea")), ""),
            (And((Has("split", "val"), Or((Has("object", "boat"), Has("object", "car"))))), ""),
            (None, "boat house"),
            (Has("colour", "red"), "car"),
            (None, "zebra"),
            (Or(()), ""),
        ],
    )
    def test_facets_count_the_rows_that_pass_and_say_the_words(self, live, gallery, filter_, text):
        expected = {}
        for row in gallery.rows(gallery.captions, gallery.vectors(8)):
            values = {**row.attributes, "split": (row.split,), "model_version": ("1",)}
            said = {stem(word) for word in row.caption.split()} & {stem(w) for w in text.split()}
            if (filter_ is None or passes(filter_, values)) and (said or not text):
                for name in FIELDS:
                    for value in values[name]:
                        expected[name, value] = expected.get((name, value), 0) + 1
        facets = live.facets(filter_, text)
        assert list(facets) == list(FIELDS)
        assert {(n, v): c for n, counts in facets.items() for v, c in counts.items()} == expected
        for counts in facets.values():
            assert list(counts.items()) == sorted(counts.items(), key=lambda i: (-i[1], i[0]))

    def test_facets_of_an_unknown_field_are_refused(self, live):
        with pytest.raises(IndexRefused, match="unknown field 'shape'"):
            live.facets(Has("shape", "round"))

    def test_rows_come_as_asked_and_as_they_were_given(self, index, gallery):
        given = gallery.rows(gallery.captions, gallery.vectors(8))
        derived = (Derived("red the boat", False, "swap"), Derived("the boat", True, "colour"))
        said = (
            StoredCaption("a boat", "model", "0", "mle", vector=given[1].vector),
            StoredCaption("the 'red' boat", "human", derived=derived, trained=("clip/2", "mle/1")),
        )
        given[5] = replace(
            given[5],
            variant="clip_s",
            others=said,
            hidden="features/grid.bin#5",
            caption_vector=given[0].vector,
        )
        index.create(gallery.manifest("b", 8))
        index.upsert("b", given)
        index.finish("b", lambda _: 1.0)
        found = index.rows([gallery.image(5), "it's nowhere", gallery.image(2)], "b")
        for row, true in zip(found, (given[5], given[2]), strict=True):
            bare = {"vector": None, "caption_vector": None}
            assert replace(row, **bare) == replace(true, **bare)
            assert np.allclose(row.vector, true.vector, atol=1e-3)
        assert found[1].caption_vector is None
        for stored, true in zip(index.captions(gallery.image(5), "b"), (0, 1, None), strict=True):
            assert (stored.vector is None) == (true is None)
            assert true is None or np.allclose(stored.vector, given[true].vector, atol=1e-3)
        assert index.captions(gallery.image(5), "b") == [
            StoredCaption(gallery.captions[5], "model", "1", "clip_s", is_current=True),
            *said,
        ]
        assert index.captions("it's nowhere", "b") == index.rows([], "b") == []

    def test_reading_before_anything_is_live_is_refused(self, index):
        for read in (index.facets, lambda: index.rows(["a"]), lambda: index.captions("a")):
            with pytest.raises(NoSuchBuild, match="no build is live"):
                read()


class TestGoingLive:
    def test_nothing_is_live_at_first(self, index):
        assert index.live() is None
        assert index.previous() is None
        with pytest.raises(NoSuchBuild, match="no build is live"):
            index.search(SearchRequest("boat"))

    def test_promote_swaps_only_what_it_expects(self, live, gallery):
        gallery.build(live, "two")
        for expect in (None, "three"):
            with pytest.raises(PromoteConflict, match=f"expected live build {expect}, found one"):
                live.promote("two", expect=expect)
        live.promote("two", expect="one")
        assert (live.live(), live.previous()) == ("two", "one")
        live.promote("one", expect="two")
        assert live.live() == "one"

    def test_the_live_build_cannot_be_dropped_others_can(self, live, gallery):
        gallery.build(live, "two")
        with pytest.raises(IndexRefused, match="is live"):
            live.drop("one")
        live.drop("two")
        assert [build.build_id for build in live.builds()] == ["one"]
        with pytest.raises(NoSuchBuild, match="no build two"):
            live.drop("two")

    def test_builds_come_oldest_first(self, index, gallery):
        for name in ("b", "c", "a"):
            gallery.build(index, name, ["a boat"])
        assert [build.build_id for build in index.builds()] == ["a", "b", "c"]
