"""N-grams as keys: counted as by hand, never across captions, and never two with one key."""

from collections import Counter
from itertools import permutations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics import ngram_keys
from finecap.metrics.ngram_keys import ORDERS, NgramCounts, WordNumbers, count_ngrams

CAPTIONS = st.lists(st.lists(st.sampled_from("abc"), max_size=7), max_size=6)


def counted(captions: list[list[str]], groups: list[int]) -> NgramCounts:
    lengths = [len(caption) for caption in captions]
    of_words = np.repeat(np.arange(len(captions)), lengths)
    return count_ngrams(WordNumbers()(captions), of_words, np.array(groups, dtype=np.int64))


def by_hand(captions: list[list[str]], groups: list[int]) -> Counter[tuple[int, tuple[str, ...]]]:
    return Counter(
        (group, tuple(words[start : start + n]))
        for words, group in zip(captions, groups, strict=True)
        for n in range(1, ORDERS + 1)
        for start in range(len(words) - n + 1)
    )


def shape(pairs: Counter[tuple[int, tuple[str, ...]]]) -> list[tuple[int, int, int]]:
    return sorted((group, len(ngram) - 1, count) for (group, ngram), count in pairs.items())


@settings(deadline=None)
@given(CAPTIONS, st.data())
def test_counts_are_those_by_hand(captions: list[list[str]], draw: st.DataObject) -> None:
    groups = [draw.draw(st.integers(0, 2)) for _ in captions]
    found, wanted = counted(captions, groups), by_hand(captions, groups)
    orders = found.orders[found.which]
    rows = zip(found.groups.tolist(), orders.tolist(), found.counts.tolist(), strict=True)
    assert sorted(rows) == shape(wanted)
    assert len(found.keys) == len({ngram for _, ngram in wanted})


def test_an_ngram_has_one_key_wherever_it_stands() -> None:
    alone, among = counted([["a", "b"]], [0]), counted([["a", "b", "c", "a", "b"]], [0])
    assert set(alone.keys.tolist()) <= set(among.keys.tolist())


def test_keys_ascend_and_pairs_follow_them() -> None:
    found = counted([["b", "a", "b"], ["c", "a"]], [1, 0])
    assert (np.diff(found.keys.astype(float)) > 0).all()
    pairs = list(zip(found.groups.tolist(), found.which.tolist(), strict=True))
    assert pairs == sorted(pairs)


def test_a_word_keeps_its_number() -> None:
    numbers = WordNumbers()
    assert numbers([["a", "b"], ["a"]]).tolist() == [1, 2, 1]
    assert numbers([["c", "b", "d"], []]).tolist() == [3, 2, 4]


def test_no_two_ngrams_of_48_000_words_share_a_key() -> None:
    # Two 4-grams share a key where their numbers' differences d solve d1 M^3 + d2 M^2 + d3 M + d4
    # = 0 modulo 2^64: a lattice. This is a basis of all of it (in it, and of its volume), reduced,
    # so that a short vector has small coefficients: |c_i| <= |d| |row i of the dual basis|.
    basis = np.array(
        [
            [-32475, -49554, -12781, -30526],  # d4, d3, d2, d1
            [27715, 48076, -18781, -36914],
            [-6851, -24874, 61508, -22411],
            [42194, -57795, -1348, 7989],
        ],
        dtype=object,
    )
    multiplier = int(ngram_keys._MULTIPLIER)
    assert not (basis @ [multiplier**power for power in range(4)] % 2**64).any()
    signs = {
        p: (-1) ** sum(a > b for i, a in enumerate(p) for b in p[i:])
        for p in permutations(range(4))
    }
    volume = sum(
        s * basis[0, p[0]] * basis[1, p[1]] * basis[2, p[2]] * basis[3, p[3]]
        for p, s in signs.items()
    )
    assert abs(volume) == 2**64
    dual = np.linalg.inv(basis.astype(float))
    bounds = np.floor(2 * 48_000 * np.linalg.norm(dual, axis=0)).astype(int)
    coefficients = np.array(list(product(*(range(-bound, bound + 1) for bound in bounds))))
    longest = np.abs(coefficients @ basis.astype(int)).max(1)
    assert np.sort(longest)[0] == 0
    assert np.sort(longest)[1] > 48_000
