"""CIDEr-D as a reward: pycocoevalcap's numbers, frozen frequencies, the end as a word, refusals."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics import cider as module
from finecap.metrics.cider import CiderD, cider, cider_plain
from tests.finecap.metrics.cider_reference import ReferenceCiderD

TRAIN = [
    ["a red dog runs", "the dog runs on grass"],
    ["a cat sits", "one cat sits on a mat"],
    ["a man with a dog", "the man walks"],
]
WORD = st.sampled_from(["a", "the", "dog", "cat", "man", "runs", "sits", "zebra"])
SENTENCE = st.lists(WORD, max_size=8).map(" ".join)
IMAGE = st.lists(SENTENCE, min_size=1, max_size=3)


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """Train; candidates, some of them references; their references, of train or not."""
    train = draw(st.lists(IMAGE, min_size=1, max_size=4))
    images = [*train, *draw(st.lists(IMAGE, max_size=2))]
    references = draw(st.lists(st.sampled_from(images), min_size=1, max_size=6))
    return train, [draw(SENTENCE | st.sampled_from(own)) for own in references], references


def ended(captions: list[str]) -> list[str]:
    return [f"{caption} <eos>" for caption in captions]


@settings(deadline=None)
@given(steps())
def test_reward_is_pycocoevalcaps(step: tuple[list[list[str]], list[str], list[list[str]]]) -> None:
    train, candidates, references = step
    found = CiderD(train, tokenised=True).scores(candidates, references)
    wanted = ReferenceCiderD(train).scores(candidates, references)
    assert found == pytest.approx(wanted, abs=1e-9)


@settings(deadline=None)
@given(steps())
def test_with_eos_reward_is_pycocoevalcaps_of_captions_with_one_more_word(
    step: tuple[list[list[str]], list[str], list[list[str]]],
) -> None:
    train, candidates, references = step
    found = CiderD(train, tokenised=True, count_eos=True).scores(candidates, references)
    reference = ReferenceCiderD([ended(own) for own in train])
    wanted = reference.scores(ended(candidates), [ended(own) for own in references])
    assert found == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("candidate", "references"),
    [
        ("", TRAIN[0]),
        ("zebra xylophone", TRAIN[0]),
        ("zebra zebra zebra", ["zebra zebra", "a zebra"]),
        ("a cat sits", ["a cat sits"]),
        ("a a a a a a", ["a a a", "a cat"]),
        ("a dog", ["", "a dog"]),
        ("", [""]),
        ("dog " * 50, ["dog " * 30]),
    ],
)
@pytest.mark.parametrize("train", [TRAIN, [["a dog"]], [["", "a"], [""]], [[""]]])
def test_odd_captions_earn_what_pycocoevalcap_gives(
    candidate: str, references: list[str], train: list[list[str]]
) -> None:
    found = CiderD(train, tokenised=True).scores([candidate], [references])
    wanted = ReferenceCiderD(train).scores([candidate], [references])
    assert found == pytest.approx(wanted, abs=1e-9)


def test_a_steps_worth_of_captions_earns_what_pycocoevalcap_gives() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"word{rank}" for rank in range(300)])

    def sentence() -> str:
        return " ".join(words[np.minimum(rng.zipf(1.3, rng.integers(8, 17)) - 1, 299)])

    train = [[sentence() for _ in range(5)] for _ in range(100)]
    references = [train[index // 5] for index in range(100)]
    candidates = [sentence() for _ in references]
    found = CiderD(train, tokenised=True).scores(candidates, references)
    assert found == pytest.approx(ReferenceCiderD(train).scores(candidates, references), abs=1e-9)
    assert found.max() > 0.1


@settings(deadline=None)
@given(steps())
def test_scores_are_blind_to_company_order_and_what_was_seen(
    step: tuple[list[list[str]], list[str], list[list[str]]],
) -> None:
    train, candidates, references = step
    reward = CiderD(train, tokenised=True)
    together = reward.scores(candidates, references)
    alone = [
        CiderD(train, tokenised=True).scores([said], [own])[0]
        for said, own in zip(candidates, references, strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-12)
    again = reward.scores(candidates[::-1], references[::-1])
    assert again == pytest.approx(together[::-1], abs=1e-12)


def test_a_caption_said_twice_earns_twice_the_same() -> None:
    reward = CiderD(TRAIN, tokenised=True)
    said = ["a red dog", "a cat sits", "a red dog", "a red dog"]
    first, _, again, of_another = reward.scores(said, [TRAIN[0], TRAIN[1], TRAIN[0], TRAIN[1]])
    assert first == again != of_another


def test_frequencies_do_not_depend_on_how_many_images_are_counted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = CiderD(TRAIN).scores(["a dog runs", "a man"], TRAIN[:2])
    monkeypatch.setattr(module, "_PART", 1)
    assert CiderD(TRAIN).scores(["a dog runs", "a man"], TRAIN[:2]).tolist() == at_once.tolist()


def test_a_caption_that_breaks_off_loses_where_its_end_counts() -> None:
    whole, broken = "a man with a dog", "a man with a"
    plain = CiderD(TRAIN, tokenised=True).scores([whole, broken], [TRAIN[2]] * 2)
    ended = CiderD(TRAIN, tokenised=True, count_eos=True).scores([whole, broken], [TRAIN[2]] * 2)
    assert ended[1] / ended[0] < plain[1] / plain[0]


def test_raw_captions_end_too() -> None:
    raw = CiderD([[f"{own}." for own in o] for o in TRAIN], count_eos=True)
    words = CiderD(TRAIN, tokenised=True, count_eos=True).scores(["a red dog"], [TRAIN[0]])
    assert raw.scores(["A red dog."], [[f"{own}." for own in TRAIN[0]]]) == pytest.approx(words)


def test_no_candidates_no_scores() -> None:
    assert CiderD(TRAIN).scores([], []).shape == (0,)


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


def by_the_paper(references: list[list[list[str]]], candidates: list[list[str]]) -> list[float]:
    """CIDEr of each candidate, equations 1-3 of Vedantam et al. 2015, as they are written."""

    def grams(caption: list[str], n: int) -> Counter[tuple[str, ...]]:
        return Counter(tuple(caption[i : i + n]) for i in range(len(caption) - n + 1))

    def vector(caption: list[str], n: int) -> dict[tuple[str, ...], float]:
        counts = grams(caption, n)
        images_with = {
            gram: sum(any(gram in grams(r, n) for r in own) for own in references)
            for gram in counts
        }
        return {
            gram: count / counts.total() * math.log(len(references) / max(1, images_with[gram]))
            for gram, count in counts.items()
        }

    def cosine(one: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> float:
        norms = math.hypot(*one.values()) * math.hypot(*other.values())
        return sum(one[g] * other.get(g, 0) for g in one) / norms if norms else 0.0

    return [
        10
        * sum(
            cosine(vector(said, n), vector(reference, n)) / len(own) / 4
            for n in range(1, 5)
            for reference in own
        )
        for said, own in zip(candidates, references, strict=True)
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(IMAGE, SENTENCE), min_size=1, max_size=5))
def test_plain_cider_is_the_papers(rows: list[tuple[list[str], str]]) -> None:
    references = [[reference.split() for reference in own] for own, _ in rows]
    candidates = [said.split() for _, said in rows]
    wanted = by_the_paper(references, candidates)
    assert cider_plain(references, candidates) == pytest.approx(wanted, abs=1e-9)


def test_plain_cider_by_hand() -> None:
    """Of "red dog" and "dog dog" the words share dog: ln 2 apart only in how often it is said."""
    references = [[["dog", "dog"]], [["cat"]]]
    found = cider_plain(references, [["red", "dog"], ["cat"]])
    # cos((1, 1), (0, 2)) of words; no common pair of words; "cat" has words alone.
    assert found == pytest.approx([10 / 4 * math.sqrt(1 / 2), 10 / 4])


def test_repeating_a_word_and_length_cost_cider_d_alone() -> None:
    references = [[["dog", "runs"]], [["cat", "sits"]]]
    once, repeated = ["dog", "runs"], ["dog", "runs"] * 4
    assert cider_plain(references, [once, once]) == pytest.approx([5, 0])
    plain, clipped = (f(references, [repeated, once])[0] for f in (cider_plain, cider))
    assert clipped < plain / 2


def test_metric_refuses_unequal_numbers_and_images_without_reference() -> None:
    with pytest.raises(ValueError, match="came 1 candidates and 2 sets of references"):
        cider([[["a"]], [["b"]]], [["a"]])
    with pytest.raises(ValueError, match="image 1 has no reference"):
        cider_plain([[["a"]], []], [["a"], ["b"]])
