import numpy as np
import pytest

from finecap.search.index import Hit, SearchRequest
from finecap.search.ranking import Ranked, rank, with_ties

WORDS = [("a", 3.0), ("b", 2.0), ("c", 2.0)]
PICTURES = [("c", 0.9), ("a", 0.5), ("d", 0.1)]
VECTOR = np.array([1, 0], np.float32)


def best(ranking):
    return lambda limit: ranking[:limit]


def ask(limit=10, **asked):
    return rank(SearchRequest(limit=limit, **asked), best(WORDS), best(PICTURES))


def test_one_ranking_alone_is_the_order():
    assert ask(text="boat").order == WORDS
    assert ask(vector=VECTOR).order == PICTURES
    assert ask(text="boat", limit=1).order == WORDS[:1]


def test_both_are_fused_by_reciprocal_rank_or_by_weight():
    fused = dict(ask(text="boat", vector=VECTOR).order)
    assert fused["a"] == pytest.approx(1 / 61 + 1 / 62)
    assert fused["c"] == pytest.approx(1 / 62 + 1 / 61)
    weighted = ask(text="boat", vector=VECTOR, picture_weight=1.0).order
    assert [name for name, _ in weighted[:2]] == ["c", "a"]


def test_pages_that_name_one_depth_agree():
    words = [(f"{i:03}", 1.0 / (i + 1)) for i in range(300)]
    pictures = [(f"{(7 * i) % 300:03}", 1.0 / (i + 1)) for i in range(300)]

    def first(limit: int):
        request = SearchRequest("boat", VECTOR, limit=limit, depth=150)
        return [name for name, _ in rank(request, best(words), best(pictures)).order]

    assert first(60)[:10] == first(10)


def test_words_without_a_match_leave_the_pictures_to_decide():
    fused = rank(SearchRequest("zebra", VECTOR), best([]), best(PICTURES)).order
    assert [name for name, _ in fused] == ["c", "a", "d"]


def test_a_hit_says_its_places_and_its_words():
    ranked = ask(text="boats", vector=VECTOR, limit=4)
    hits = {name: Hit(name, name, f"a boat {name}", 0.0) for name in "abcd"}
    told = {hit.image: hit for hit in ranked.explained(hits, "boats", "bm25")}
    assert (told["c"].bm25_rank, told["c"].vector_rank, told["c"].words_by) == (2, 1, "bm25")
    assert (told["d"].bm25_rank, told["d"].bm25_score, told["d"].words_by) == (None, None, None)
    assert told["b"].vector_rank is None
    assert told["a"].matched_words == ("boat",)


def test_ties_at_the_cut_are_completed():
    asked = []

    def engine(limit):
        asked.append(limit)
        return [(f"{row:03d}", 1.0) for row in range(min(limit, 50))]

    assert len(with_ties(engine, 10)) == 50
    assert asked == [20, 80]


def test_words_alone_are_asked_once_and_for_no_more_than_is_wanted():
    asked = []

    def engine(limit):
        asked.append(limit)
        return [(f"{row:03d}", 1.0) for row in range(limit)]

    ranked = rank(SearchRequest("boat", limit=10), engine, best([]))
    assert asked == [10]
    assert [name for name, _ in ranked.order] == [f"{row:03d}" for row in range(10)]


def test_nothing_ranked_is_no_hit():
    assert Ranked([]).explained({}, "", "bm25") == []
