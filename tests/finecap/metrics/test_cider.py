"""CIDEr-D as a reward: the formula by brute force, frozen frequencies, cache, refusals."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.cider import CiderD, cider

TRAIN = [
    ["a red dog runs", "the dog runs on grass"],
    ["a cat sits", "one cat sits on a mat"],
    ["a man with a dog", "the man walks"],
]
SENTENCE = st.lists(
    st.sampled_from(["a", "the", "dog", "cat", "man", "runs", "sits", "zebra"]), max_size=8
).map(" ".join)


def by_definition(candidate: str, references: list[str], train: list[list[str]]) -> float:
    """Vedantam et al. 2015, equation 4 and its length penalty, as written."""

    def grams(text: str, n: int) -> Counter[tuple[str, ...]]:
        words = text.split()
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    def vector(text: str, n: int) -> dict[tuple[str, ...], float]:
        seen = {g: sum(any(g in grams(r, n) for r in own) for own in train) for g in grams(text, n)}
        return {
            g: c * (math.log(len(train)) - math.log(max(1, seen[g])))
            for g, c in grams(text, n).items()
        }

    total = 0.0
    for n in (1, 2, 3, 4):
        for reference in references:
            ours, theirs = vector(candidate, n), vector(reference, n)
            dot = sum(min(w, theirs.get(g, 0)) * theirs.get(g, 0) for g, w in ours.items())
            norm = math.hypot(*ours.values()) * math.hypot(*theirs.values())
            gap = max(0, len(candidate.split()) - 1) - max(0, len(reference.split()) - 1)
            total += (dot / norm if norm else 0) * math.exp(-(gap**2) / 72)
    return 10 * total / 4 / len(references)


@settings(deadline=None)
@given(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=3))
def test_reward_is_the_papers_formula(candidate: str, references: list[str]) -> None:
    found = CiderD(TRAIN, tokenised=True).scores([candidate], [references])[0]
    assert found == pytest.approx(by_definition(candidate, references, TRAIN), abs=1e-9)


def test_frequencies_are_those_of_train_whatever_is_scored() -> None:
    reward = CiderD(TRAIN)
    alone = reward.scores(["a dog runs"], [TRAIN[0]])
    among = reward.scores(["a cat", "a dog runs", "zebra"], [TRAIN[1], TRAIN[0], TRAIN[2]])
    assert among[1] == alone[0]


def test_reward_equals_metric_when_train_is_what_is_scored() -> None:
    tokens = [[reference.split() for reference in own] for own in TRAIN]
    candidates = ["a red dog", "the cat sits", "a man"]
    metric = cider(tokens, [candidate.split() for candidate in candidates])
    assert CiderD(TRAIN, tokenised=True).scores(candidates, TRAIN) == pytest.approx(metric)


def test_raw_and_tokenised_agree_on_plain_words() -> None:
    words = CiderD(TRAIN, tokenised=True).scores(["a red dog"], [TRAIN[0]])
    raw = CiderD([[f"{own.capitalize()}." for own in references] for references in TRAIN])
    assert raw.scores(["A red dog!"], [[f"{own}." for own in TRAIN[0]]]) == pytest.approx(words)


def test_a_reference_itself_scores_highest() -> None:
    reward = CiderD(TRAIN, tokenised=True)
    best, worse, none = reward.scores(["a red dog runs", "a red dog", "zebra"], [[TRAIN[0][0]]] * 3)
    assert best == pytest.approx(10)
    assert best > worse > none == 0


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="came 2 candidates and 1 sets of references"):
        CiderD(TRAIN).scores(["a", "b"], [TRAIN[0]])


def test_no_references_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one training image"):
        CiderD([])
    with pytest.raises(ValueError, match="training image 1 has no reference"):
        CiderD([["a"], []])
    with pytest.raises(ValueError, match="an image to score has no reference"):
        CiderD(TRAIN).scores(["a"], [[]])
