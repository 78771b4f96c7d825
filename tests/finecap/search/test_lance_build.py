"""What the engine claims beyond the contract: its BM25 ranks as a plain BM25 does."""

import math
import random
import re
from collections import Counter

import numpy as np
import pytest

from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.lance_build import sql
from finecap.search.query import STOP_WORDS, And, Has, Not, Or, stem

THINGS = [
    "boat",
    "house",
    "tree",
    "car",
    "cat",
    "bird",
    "kite",
    "bench",
    "horse",
    "dog",
    "ball",
    "bridge",
]
COLOURS = ["red", "blue", "green", "black", "white", "brown"]
PLACES = ["sea", "beach", "meadow", "snow", "night", "city", "desert", "forest"]


def drawn_captions(rows, seed):
    draw = random.Random(seed)  # noqa: S311 - test captions

    def thing():
        return f"{draw.choice(COLOURS)} {draw.choice(THINGS)}{draw.choice(['', 's'])}"

    def caption():
        second = f" {draw.choice(['above', 'below', 'near', 'left of'])} a {thing()}"
        return f"a {thing()}{draw.choice(['', second])} in the {draw.choice(PLACES)}"

    return [caption() for _ in range(rows)]


def zipf_captions(rows, seed):
    """Words that no English analyser knows, common ones common."""
    draw = np.random.default_rng(seed)
    ranks = np.minimum(draw.zipf(1.3, size=(rows, 12)), 5000)
    lengths = draw.integers(5, 13, size=rows)
    return [" ".join(f"q{w}" for w in row[:n]) for row, n in zip(ranks, lengths, strict=True)]


def analysed(text):
    return [stem(word) for word in re.findall(r"\w+", text.lower()) if word not in STOP_WORDS]


def bm25(query, captions, k1=1.2, b=0.75):
    """Plain BM25 (Robertson) over the stems of words that are no stop words."""
    texts = [Counter(analysed(caption)) for caption in captions]
    mean = sum(map(Counter.total, texts)) / len(texts)
    scores = [0.0] * len(texts)
    for word in set(analysed(query)):
        holding = sum(word in text for text in texts)
        weight = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for i, text in enumerate(texts):
            length = k1 * (1 - b + b * text.total() / mean)
            scores[i] += weight * text[word] * (k1 + 1) / (text[word] + length)
    return scores


def overlap_at_10(index, build_id, captions, queries):
    """Share of the engine's ten that are among the oracle's; ties with its tenth count."""
    found = 0
    for query in queries:
        oracle = bm25(query, captions)
        tenth = sorted(oracle)[-10]
        hits = index.search(SearchRequest(query), build_id)
        found += sum(oracle[int(hit.image[7:13])] >= tenth - 1e-6 for hit in hits)
    return found / (10 * len(queries))


@pytest.mark.parametrize("draw", [drawn_captions, zipf_captions])
def test_top_10_overlaps_a_plain_bm25_by_at_least_0_8(tmp_path, gallery, draw):
    captions, queries = draw(1500, 0), draw(25, 1)
    index = LanceIndex(tmp_path)
    gallery.build(index, "b", captions)
    assert overlap_at_10(index, "b", captions, queries) >= 0.8


def test_a_filter_becomes_quoted_sql():
    filter_ = And((Has("colour", "r'd"), Or((Has("split", "a"), Not(Has("size", "b"))))))
    assert sql(filter_) == (
        "(array_has_any(colour, ['r''d']) AND (split = 'a' OR (NOT array_has_any(size, ['b']))))"
    )


def test_a_build_that_is_not_its_manifests_is_refused(tmp_path, gallery):
    gallery.build(LanceIndex(tmp_path), "b")
    path = tmp_path / "builds" / "b" / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 8', '"rows": 9'))
    with pytest.raises(IndexRefused, match=r"its manifest says \(9, 9, 8\)"):
        LanceIndex(tmp_path).search(SearchRequest("boat"), "b")
