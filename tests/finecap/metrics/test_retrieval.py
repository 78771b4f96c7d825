"""Ranks by hand and by sorting, ties, chunks, refusals."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.retrieval import Ranks, median_rank, ranks, recall_at_k


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def placed(better: list[int], tied: list[int]) -> Ranks:
    return Ranks(torch.tensor(better), torch.tensor(tied))


def test_ranks_by_hand() -> None:
    gallery = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    queries = torch.tensor([[2.0, 0.1], [1, 0.1], [1, 1]])
    found = ranks(queries, gallery)
    assert (found.better.tolist(), found.tied.tolist()) == ([0, 2, 0], [0, 0, 0])
    assert found.mean().tolist() == [1, 3, 1]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 100))
def test_a_row_queried_with_itself_ranks_first(n: int, seed: int) -> None:
    gallery = features(n, 16, seed=seed)
    assert ranks(gallery * 3, gallery).mean().tolist() == [1] * n


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 100), st.integers(1, 40))
def test_ranks_are_those_of_a_full_sort_for_any_chunk(n: int, seed: int, chunk: int) -> None:
    queries, gallery = features(n, 6, seed=seed), features(n, 6, seed=seed + 1)
    cosines = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(gallery).T
    order = cosines.argsort(dim=1, descending=True)
    expected = [row.tolist().index(i) + 1 for i, row in enumerate(order)]
    assert ranks(queries, gallery, chunk=chunk).mean().tolist() == expected


def test_one_caption_for_all_images_is_found_as_often_as_by_guessing() -> None:
    images, captions = features(8, 5), features(1, 5, seed=1).expand(8, 5)
    found = ranks(images, captions)
    assert found.tied.tolist() == [7] * 8
    for k in (1, 5, 8):
        assert recall_at_k(found, k).tolist() == [k / 8] * 8
    assert median_rank(found) == 4.5


def test_features_of_zeros_tie_instead_of_ranking_first() -> None:
    assert ranks(torch.zeros(2, 3), torch.eye(2, 3)).mean().tolist() == [1.5, 1.5]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(0, 4), st.integers(1, 6))
def test_recall_is_the_share_of_all_orders_of_ties(scores: list[int], own: int, k: int) -> None:
    own %= len(scores)
    better = sum(score > scores[own] for score in scores)
    tied = sum(score == scores[own] for score in scores) - 1
    orders = [
        sorted(order, key=lambda i: -scores[i])  # stable: ties stand as the permutation has them
        for order in itertools.permutations(range(len(scores)))
    ]
    among = sum(order.index(own) < k for order in orders) / len(orders)
    mean = sum(order.index(own) + 1 for order in orders) / len(orders)
    found = placed([better], [tied])
    assert recall_at_k(found, k).item() == pytest.approx(among)
    assert found.mean().item() == pytest.approx(mean)


def test_ties_hold_where_a_product_adds_in_another_order() -> None:
    row = features(1, 512, seed=3)
    gallery = torch.cat([row, row * 8, row / 2])
    assert ranks(features(3, 512), gallery, chunk=1).tied.tolist() == [2, 2, 2]


def test_recall_and_median() -> None:
    found = placed([0, 1, 5, 10], [0, 0, 0, 0])
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
        recall_at_k(placed([0], [0]), 0)
