"""Equality with pycocoevalcap on random and edge inputs, its Java included, and the refusals."""

import random
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from finecap.metrics import ngram
from tests.finecap.metrics.ptb_golden import coco_captions, java_tokens

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

SHARED = [*(f"bleu_{order}" for order in range(1, 5)), "rouge_l", "cider"]
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


def scored(references: Mapping[int, Sequence[str]], candidates: Candidates) -> dict[str, float]:
    """Those that pycocoevalcap has too."""
    found = ngram.score(references, candidates)
    return {name: found[name] for name in SHARED}


def end_to_end(references: References, candidates: Candidates) -> dict[str, float]:
    """pycocoevalcap from raw captions: its Java tokeniser reads each side as one file."""
    flat = iter(java_tokens([text for image in candidates for text in references[image]]))
    own = {image: [next(flat) for _ in references[image]] for image in candidates}
    said = java_tokens(list(candidates.values()))
    return pycocoevalcap(own, dict(zip(candidates, said, strict=True)))


def corpus(images: int, references: int, seed: int = 0) -> tuple[References, Candidates]:
    rng = random.Random(seed)  # noqa: S311 test data

    def sentence() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 14)))

    own = {image: [sentence() for _ in range(references)] for image in range(images)}
    return own, {image: sentence() for image in own}


@pytest.mark.parametrize(("images", "references"), [(50, 5), (20, 1), (2, 3), (1, 1), (1, 4)])
def test_scores_equal_pycocoevalcap(images: int, references: int) -> None:
    own, candidates = corpus(images, references)
    assert scored(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-9)


@pytest.mark.parametrize(
    "candidate", ["", "zebra quagga okapi", "a", "a a a a a a a", "the red ball on the red ball"]
)
def test_edge_candidate_scores_as_in_pycocoevalcap(candidate: str) -> None:
    own, candidates = corpus(6, 3)
    candidates[2] = candidate
    assert scored(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-9)


def test_all_candidates_empty_score_as_in_pycocoevalcap() -> None:
    own, candidates = corpus(3, 2)
    empty = dict.fromkeys(candidates, "")
    assert scored(own, empty) == pytest.approx(pycocoevalcap(own, empty), abs=1e-9)


SENTENCE = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.lists(SENTENCE, min_size=1, max_size=4), SENTENCE), min_size=1))
def test_any_corpus_scores_as_in_pycocoevalcap(rows: list[tuple[list[str], str]]) -> None:
    assume(any(text for references, _ in rows for text in references))  # else it crashes
    own = {image: references for image, (references, _) in enumerate(rows)}
    candidates = {image: caption for image, (_, caption) in enumerate(rows)}
    assert scored(own, candidates) == pytest.approx(pycocoevalcap(own, candidates), abs=1e-6)


def test_raw_strings_are_tokenised() -> None:
    raw = ngram.score(
        {1: ["A dog's ball, red!"], 2: ["Two cats."]}, {1: "a dog 's ball red", 2: "two cats"}
    )
    assert raw["bleu_1"] == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("java")
def test_raw_captions_score_as_in_pycocoevalcap_with_its_java() -> None:
    own = {
        "b": ["A dog's ball isn't red.", "2 dogs (one red) play w/ a ball, no."],
        "a": ["5 men at 1 1/2 St. & 3rd...", "“Two” men—café at 23 3/4 St"],
        "é": ["the letter K."],
        "d": ["The U.S. flag.", "A flag\tof the US!", "flag", "The flag: 10:30pm"],
        "e": ["...", "a"],
    }
    said = {
        "b": "a dog's ball isn't a ball",
        "a": "Two men at 1 1/2 St. in a.",
        "é": "The letter K",
        "d": "",
        "e": "?!",
    }
    assert scored(own, said) == pytest.approx(end_to_end(own, said), abs=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_captions_of_coco_score_as_in_pycocoevalcap_with_its_java() -> None:
    own: References = {}
    for image, text in coco_captions("val"):
        own.setdefault(image, []).append(text)
    own = dict(list(own.items())[:2_000])
    said = {image: own[image].pop(image % len(own[image])) for image in own}
    assert len({len(sentences) for sentences in own.values()}) > 1
    assert scored(own, said) == pytest.approx(end_to_end(own, said), abs=1e-6)


def test_tokens_with_a_no_break_space_are_two_words_but_for_rouge() -> None:
    own, said = {1: ["at 1 1/2 st", "a"], 2: ["on"]}, {1: "at 1 1/2 ave", 2: "on"}
    tokens = ngram.tokenised(own, said)
    assert tokens.candidates == ["at 1\u00a01/2 ave", "on"]
    found = ngram.measure(tokens)
    assert found.bleu.candidate_lengths.tolist() == [4, 1]
    assert found.per_image["rouge_l"][0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("candidate", ["", ".", " ? ! ... ", "\u3000\U0001f436"])
def test_nothing_said_scores_zero_and_counts_as_an_image(candidate: str) -> None:
    own = {1: ["a dog runs on grass", "dogs"], 2: ["a cat sits on a mat"]}
    alone = ngram.score({2: own[2]}, {2: "a cat sits on a mat"})
    found = ngram.score(own, {1: candidate, 2: "a cat sits on a mat"})
    assert found["rouge_l"] == pytest.approx(alone["rouge_l"] / 2)
    assert found["bleu_1"] == pytest.approx(np.exp(1 - 7 / 6))  # short by one reference of a word
    assert found["cider"] == found["cider_plain"] == pytest.approx(5)


def test_words_unknown_to_the_references_earn_nothing_and_cost_precision() -> None:
    own = {1: ["a dog runs"], 2: ["a cat"]}
    found = ngram.measure(ngram.tokenised(own, {1: "zebra кошка 日本", 2: "a cat zebra"}))
    assert found.per_image["cider"][0] == found.per_image["rouge_l"][0] == 0
    assert 0 < found.per_image["cider"][1] < found.per_image["cider_plain"][1] < 10
    assert found.bleu.matches[:, 0].tolist() == [0, 2]


def test_words_of_other_scripts_match_like_any() -> None:
    own = {1: ["ein Straßencafé in Zürich", "кошка"], 2: ["日本 の 犬"]}
    found = ngram.score(own, {1: "Ein STRASSENCAFÉ in ZÜRICH", 2: "日本 の 犬"})
    assert found["bleu_1"] == pytest.approx((3 + 3) / 7)


def test_each_image_has_as_many_references_as_it_has() -> None:
    own = {1: ["a dog"], 2: ["a cat", "one cat", "the cat sits"], 3: ["a man", "a man"]}
    said = {1: "a dog", 2: "the cat", 3: "a man"}
    assert scored(own, said) == pytest.approx(pycocoevalcap(own, said), abs=1e-9)


def test_mean_of_per_image_is_the_score() -> None:
    own, candidates = corpus(30, 3)
    whole = ngram.score(own, candidates)
    each = ngram.per_image(own, candidates)
    assert each.keys() == {"rouge_l", "cider", "cider_plain"}
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
