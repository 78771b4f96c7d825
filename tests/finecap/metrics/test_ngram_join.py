"""The join of candidates' n-grams with their references', against loops over tuples."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.ngram_join import NgramJoin, join, totals

CAPTION = st.lists(st.sampled_from("abc"), max_size=6)
CORPUS = st.lists(st.tuples(st.lists(CAPTION, min_size=1, max_size=3), CAPTION), max_size=4)


def ngrams(tokens: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(tokens[i : i + n]) for n in range(1, 5) for i in range(len(tokens) - n + 1)
    )


def of(rows: list[tuple[list[list[str]], list[str]]]) -> NgramJoin:
    return join([references for references, _ in rows], [said for _, said in rows])


@settings(deadline=None)
@given(CORPUS)
def test_shared_ngrams_are_those_of_loops(rows: list[tuple[list[list[str]], list[str]]]) -> None:
    found = of(rows)
    wanted = Counter(
        (image, number, len(gram), count, ngrams(reference)[gram])
        for image, (references, said) in enumerate(rows)
        for number, reference in enumerate(references)
        for gram, count in ngrams(said).items()
        if gram in ngrams(reference)
    )
    firsts = np.searchsorted(found.image_of, np.arange(len(rows)))
    ours, theirs = found.candidates, found.references
    reference = theirs.groups[found.its]
    image = ours.groups[found.mine]
    columns = (
        image,
        reference - firsts[image] if len(rows) else reference,
        ours.orders[ours.which[found.mine]] + 1,
        ours.counts[found.mine],
        theirs.counts[found.its],
    )
    assert Counter(zip(*(column.tolist() for column in columns), strict=True)) == wanted
    assert (found.image_of[reference] == image).all()


def test_lengths_are_words() -> None:
    found = of([([["a", "b"], []], ["a"]), ([["c"]], [])])
    assert found.candidate_lengths.tolist() == [1, 0]
    assert found.reference_lengths.tolist() == [2, 0, 1]
    assert found.image_of.tolist() == [0, 0, 1]


def test_totals_sum_by_caption_and_order() -> None:
    found = of([([["x"]], ["a", "a"]), ([["x"]], [])])
    sums = totals(found.candidates, found.candidates.counts.astype(float), 2)
    assert sums.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0]]


def test_unequal_numbers_and_images_without_reference_are_refused() -> None:
    with pytest.raises(ValueError, match="came 1 candidates and 0 sets of references"):
        join([], [["a"]])
    with pytest.raises(ValueError, match="image 0 has no reference"):
        join([[]], [["a"]])
