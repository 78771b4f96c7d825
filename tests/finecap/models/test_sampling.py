"""How a token is drawn: frequencies, the nucleus and what may not be said again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor, TopPLogitsWarper

from finecap.models.sampling import nucleus, sample, without_repeats


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.5, 0.0, 0.2, 0.3]).log().expand(20_000, 4)
    numbers = 1 - torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    drawn = sample(logits, numbers)
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.0, 0.2, 0.3]), atol=0.015, rtol=0)


@pytest.mark.parametrize("number", [1e-45, 0.5, 1.0])
def test_a_token_without_probability_is_never_drawn(number: float) -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    assert sample(logits, torch.tensor(number)).item() in {1, 3}


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [(0.4, {2}), (0.5, {2}), (0.51, {2, 0}), (0.81, {2, 0, 3}), (1, {0, 2, 3})],
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, expected: set) -> None:
    logits = torch.tensor([0.3, 0.0, 0.5, 0.2]).log()
    kept = nucleus(logits, top_p)
    assert set(kept.isfinite().nonzero().flatten().tolist()) == expected
    torch.testing.assert_close(kept[list(expected)], logits[list(expected)])


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_the_nucleus_is_that_of_transformers(top_p: float) -> None:
    logits = 3 * torch.randn(50, 200, generator=torch.Generator().manual_seed(0))
    logits[:, :3] = float("-inf")
    assert torch.equal(nucleus(logits, top_p), TopPLogitsWarper(top_p)(None, logits))


@pytest.mark.parametrize("top_p", [0, -0.5, 1.5])
def test_a_share_beyond_its_bounds_is_refused(top_p: float) -> None:
    with pytest.raises(ValueError, match=rf"top_p is {top_p}, expected a share in \(0, 1\]"):
        nucleus(torch.zeros(4), top_p)


@given(st.integers(1, 4), st.lists(st.lists(st.integers(0, 4), min_size=9, max_size=9), min_size=1))
def test_repeats_are_forbidden_as_in_transformers(ngram: int, said: list[list[int]]) -> None:
    tokens = torch.tensor(said)
    logits = torch.zeros(len(said), 5)
    expected = NoRepeatNGramLogitsProcessor(ngram)(tokens, logits)
    assert torch.equal(without_repeats(logits, tokens, ngram), expected)


def test_a_trigram_is_not_completed_twice() -> None:
    logits = torch.arange(6.0).expand(1, 2, 6)
    tokens = torch.tensor([[[1, 2, 3, 4, 1, 2], [1, 2, 3, 4, 2, 1]]])
    blocked = without_repeats(logits, tokens, 3)
    assert blocked[0, 0].isneginf().tolist() == [False, False, False, True, False, False]
    assert torch.equal(blocked[0, 1], logits[0, 1])


@pytest.mark.parametrize("ngram", [0, 3])
def test_nothing_is_forbidden_before_it_could_be_said_twice(ngram: int) -> None:
    logits, tokens = torch.zeros(1, 4), torch.tensor([[1, 1]])
    assert torch.equal(without_repeats(logits, tokens, ngram), logits)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="ngram is -1, expected 1 or more, or 0"):
        without_repeats(torch.zeros(1, 4), torch.zeros(1, 0, dtype=torch.long), -1)
