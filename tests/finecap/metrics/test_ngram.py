"""Equality with pycocoevalcap on random and edge inputs, and the refusals."""

import random
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics import ngram

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes in the reference package
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

WORDS = [
    "a",
    "the",
    "dog",
    "cat",
    "red",
    "blue",
    "ball",
    "runs",
    "sits",
    "on",
    "grass",
    "with",
    "man",
]

References = dict[int, list[str]]
Candidates = dict[int, str]


def pycocoevalcap(references: References, candidates: Candidates) -> dict[str, float]:
    single = {image: [caption] for image, caption in candidates.items()}
    bleu, _ = Bleu(4).compute_score(references, single, verbose=0)
    return {
        **{f"bleu_{order}": value for order, value in enumerate(bleu, start=1)},
        "rouge_l": Rouge().compute_score(references, single)[0],
        "cider": Cider().compute_score(references, single)[0],
    }


def corpus(images: int, references: int, seed: int = 0) -> tuple[References, Candidates]:
    rng = random.Random(seed)  # noqa: S311 test data

    def sentence() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 14)))

    own = {image: [sentence() for _ in range(references)] for image in range(images)}
    return own, {image: sentence() for image in own}


@pytest.mark.parametrize(("images", "references"), [(50, 5), (20, 1), (2, 3), (1, 1), (1, 4)])
def test_scores_equal_pycocoevalcap(images: int, references: int) -> None:
    own, candidates = corpus(images, references)
    assert ngram.score(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-9)


@pytest.mark.parametrize(
    "candidate", ["", "zebra quagga okapi", "a", "a a a a a a a", "the red ball on the red ball"]
)
def test_edge_candidate_scores_as_in_pycocoevalcap(candidate: str) -> None:
    own, candidates = corpus(6, 3)
    candidates[2] = candidate
    assert ngram.score(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-9)


def test_all_candidates_empty_score_as_in_pycocoevalcap() -> None:
    own, candidates = corpus(3, 2)
    empty = dict.fromkeys(candidates, "")
    assert ngram.score(own, empty) == pytest.approx(pycocoevalcap(own, empty), abs=1e-9)


SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.lists(SENTENCE, min_size=1, max_size=4), SENTENCE), min_size=1))
def test_any_corpus_scores_as_in_pycocoevalcap(rows: list[tuple[list[str], str]]) -> None:
    own = {image: references for image, (references, _) in enumerate(rows)}
    candidates = {image: caption for image, (_, caption) in enumerate(rows)}
    assert ngram.score(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-6)


def test_raw_strings_are_tokenised() -> None:
    raw = ngram.score(
        {1: ["A dog's ball, red!"], 2: ["Two cats."]}, {1: "a dog 's ball red", 2: "two cats"}
    )
    assert raw["bleu_1"] == pytest.approx(1, abs=1e-6)


def test_mean_of_per_image_is_the_score() -> None:
    own, candidates = corpus(30, 3)
    whole, each = ngram.score(own, candidates), ngram.per_image(own, candidates)
    assert each.keys() == {"rouge_l", "cider"}
    assert {name: values.mean() for name, values in each.items()} == pytest.approx(
        {name: whole[name] for name in each}
    )


def test_bleu_of_a_resample_is_bleu_of_the_repeated_corpus() -> None:
    own, candidates = corpus(4, 2)
    weights = np.array([[2.0, 0, 1, 1], [1, 1, 1, 1]])
    resampled = ngram.bleu_statistics(own, candidates).scores(weights)
    drawn = [0, 0, 2, 3]
    expected = ngram.score(
        dict(enumerate(own[i] for i in drawn)), dict(enumerate(candidates[i] for i in drawn))
    )
    assert resampled.shape == (2, 4)
    assert resampled[0] == pytest.approx([expected[f"bleu_{order}"] for order in (1, 2, 3, 4)])


def test_order_of_references_mapping_does_not_matter() -> None:
    own, candidates = corpus(5, 2)
    assert ngram.score(dict(reversed(own.items())), candidates) == ngram.score(own, candidates)


def test_different_ids_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same ids; without candidate: 1 \['b'\]"):
        ngram.score({"a": ["x"], "b": ["y"]}, {"a": "x"})
    with pytest.raises(ValueError, match=r"without references: 1 \['c'\]"):
        ngram.score({"a": ["x"]}, {"a": "x", "c": "y"})


def test_image_without_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="image 'a': expected a list of at least one reference"):
        ngram.score({"a": []}, {"a": "x"})


def test_a_string_as_references_is_refused() -> None:
    with pytest.raises(ValueError, match="came 'a dog'"):
        ngram.score({"a": "a dog"}, {"a": "x"})


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        ngram.score({}, {})
