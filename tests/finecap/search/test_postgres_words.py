"""Words that many captions say are passed over only where that changes no answer."""

import numpy as np
import pytest

from finecap.search import postgres_build
from finecap.search.index import SearchRequest
from finecap.search.postgres import PostgresIndex
from tests.finecap.search.drawn import zipf_captions

ROWS = 3_000


@pytest.fixture
def index(postgres, gallery):
    index = PostgresIndex(postgres.migrated())
    vectors = np.ones((ROWS, 4), np.float32) / 2
    index.create(gallery.manifest("b", *vectors.shape))
    index.upsert("b", gallery.rows(zipf_captions(ROWS, seed=1), vectors))
    index.finish("b", lambda _: 1.0)
    return index


@pytest.mark.parametrize("limit", [3, 100])
def test_answers_are_those_of_all_words(index, monkeypatch, limit):
    draw = np.random.default_rng(2)
    said = zipf_captions(ROWS, seed=1)
    texts = [
        " ".join(draw.permutation(said[row].split())[:3]) for row in draw.integers(ROWS, size=40)
    ]
    asked: list[int] = []
    whole = postgres_build.PostgresBuild._saying

    def counted(self, words, weights, where, limit):
        asked.append(len(words))
        return whole(self, words, weights, where, limit)

    def answers():
        asked.clear()
        hits = [index.search(SearchRequest(text=text, limit=limit), "b") for text in texts]
        return [[(hit.image, hit.score) for hit in found] for found in hits], sum(asked)

    monkeypatch.setattr(postgres_build.PostgresBuild, "_saying", counted)
    by_rarer, words = answers()
    monkeypatch.setattr(postgres_build, "_rarer", list)
    by_all, all_words = answers()
    assert by_rarer == by_all
    assert limit > 3 or words < all_words
