"""Ranks by hand and by sorting, ties, chunks, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.retrieval import median_rank, ranks, recall_at_k


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_ranks_by_hand() -> None:
    gallery = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    queries = torch.tensor([[2.0, 0.1], [1, 0.1], [1, 1]])
    assert ranks(queries, gallery).tolist() == [1, 3, 1]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 100))
def test_a_row_queried_with_itself_ranks_first(n: int, seed: int) -> None:
    gallery = features(n, 16, seed=seed)
    assert ranks(gallery * 3, gallery).tolist() == [1] * n


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 100), st.integers(1, 40))
def test_ranks_are_those_of_a_full_sort_for_any_chunk(n: int, seed: int, chunk: int) -> None:
    queries, gallery = features(n, 6, seed=seed), features(n, 6, seed=seed + 1)
    cosines = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(gallery).T
    order = cosines.argsort(dim=1, descending=True)
    expected = [row.tolist().index(i) + 1 for i, row in enumerate(order)]
    assert ranks(queries, gallery, chunk=chunk).tolist() == expected


def test_ties_count_against_the_query() -> None:
    assert ranks(torch.ones(4, 3), torch.ones(4, 3)).tolist() == [4] * 4
    assert ranks(torch.zeros(2, 3), torch.eye(2, 3)).tolist() == [2, 2]


def test_recall_and_median() -> None:
    found = torch.tensor([1, 2, 6, 11])
    assert recall_at_k(found, 1).mean().item() == 0.25
    assert recall_at_k(found, 10).tolist() == [1, 1, 1, 0]
    assert median_rank(found) == 4


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"came \(2, 3\) and \(3, 3\)"):
        ranks(torch.ones(2, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="N >= 1"):
        ranks(torch.ones(0, 3), torch.ones(0, 3))
    with pytest.raises(ValueError, match="NaN or infinite"):
        ranks(torch.full((2, 3), torch.nan), torch.ones(2, 3))
    with pytest.raises(ValueError, match="k >= 1; came 0"):
        recall_at_k(torch.tensor([1]), 0)
