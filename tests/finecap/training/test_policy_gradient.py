"""The step as it is taken, drawing and all, points along the exact gradient of expected reward.

Three words, captions of at most four tokens: all 121 can be listed, so that the gradient of the
expected reward is a sum. What is tested is the real objective with thousands of draws, at which a
wrong sign, mask, mode or temperature shows as a bias.
"""

import itertools
from collections.abc import Mapping
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import Tensor

from finecap.config import ScstConfig
from finecap.data.tokenizer import BOS, EOS, PAD, WordTokenizer
from finecap.losses import through_eos, token_log_probs
from finecap.models.captioner import Captioner
from finecap.models.transformer import TransformerCaptioner, TransformerShape
from finecap.rewards import RewardBatch
from finecap.training import scst
from finecap.training.scst import ScstBatch, SelfCriticalStep

T, K, B = 4, 3_000, 2


class Listed:
    """A reward that is one fixed number per caption and image."""

    def __call__(
        self, batch: RewardBatch, weights: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        del weights
        rows = [[reward_of(i, c) for c in own] for i, own in enumerate(batch.captions)]
        return torch.tensor(rows, dtype=torch.double), {}


@cache
def reward_of(image: int, caption: str) -> float:
    """Between 0 and 1, and of no pattern."""
    seed = hash((image, len(caption))) + sum(ord(c) * 31**i for i, c in enumerate(caption))
    return np.random.default_rng(seed % 2**32).random()


class Seen:
    """Two images."""

    def __init__(self) -> None:
        self.grid = torch.randn(B, 2, 3, dtype=torch.double)

    def inputs_of(self, captioner: Captioner, positions: np.ndarray) -> Tensor:
        del captioner
        return self.grid[positions]

    def vectors_of(self, positions: np.ndarray) -> Tensor:
        return torch.zeros(len(positions), 1)


@pytest.fixture(scope="module")
def policy() -> TransformerCaptioner:
    torch.manual_seed(0)
    shape = TransformerShape(3, 8, 2, 1, 1, 0.5, T)  # dropout is on wherever eval mode is forgotten
    return TransformerCaptioner(shape, WordTokenizer.build(["red boat sea"], 1)).double()


@pytest.fixture(scope="module")
def seen() -> Seen:
    torch.manual_seed(1)
    return Seen()


def all_captions() -> Tensor:
    """Every caption of at most 4 tokens over 3 words, PAD after EOS: (121, 4)."""
    ended = [
        [*prefix, EOS] + [PAD] * (T - 1 - n)
        for n in range(T)
        for prefix in itertools.product((4, 5, 6), repeat=n)
    ]
    return torch.tensor(ended + [list(c) for c in itertools.product((4, 5, 6), repeat=T)])


def exact_gradient(policy: TransformerCaptioner, seen: Seen, temperature: float) -> Tensor:
    """Of -E[R], the mean over images of the sum over all captions."""
    policy.eval()
    tokens = all_captions().expand(B, -1, -1)  # (B, 121, T)
    inputs = torch.cat([torch.full_like(tokens[..., :1], BOS), tokens[..., :-1]], -1)
    logits = policy.teacher_forced(policy.memory(seen.grid), inputs) / temperature
    p = token_log_probs(logits, tokens, through_eos(tokens, EOS)).sum(-1).exp()  # (B, 121)
    torch.testing.assert_close(p.sum(-1), torch.ones(B, dtype=torch.double))
    words = [[policy.tokenizer.decode(row) for row in image] for image in tokens.tolist()]
    rewards = [[reward_of(i, c) for c in own] for i, own in enumerate(words)]
    loss = -(p * torch.tensor(rewards, dtype=torch.double)).sum(-1).mean()
    return gradient(policy, loss)


def gradient(policy: TransformerCaptioner, loss: Tensor) -> Tensor:
    found = torch.autograd.grad(loss, list(policy.parameters()))
    return torch.cat([g.flatten() for g in found])


@pytest.mark.parametrize("temperature", [1.0, 1.5])
@pytest.mark.parametrize("baseline", ["greedy", "leave_one_out"])
def test_the_steps_gradient_is_that_of_the_expected_reward(
    policy: TransformerCaptioner,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    baseline: str,
    temperature: float,
) -> None:
    monkeypatch.setattr(scst, "_PART", K)
    exact = exact_gradient(policy, seen, temperature)
    config = ScstConfig.model_validate(
        {"samples_per_image": K, "baseline": baseline, "max_tokens": T, "temperature": temperature}
    )
    policy.train()
    step = SelfCriticalStep(policy, None, Listed(), seen, config)  # type: ignore[arg-type]
    uniforms = 1 - torch.rand(B, K, T, generator=torch.Generator().manual_seed(2))
    batch = ScstBatch(np.arange(B), [["a"]] * B, uniforms)
    loss, _ = partial(step.objective, weights={})(batch)
    found = gradient(policy, loss)
    assert torch.cosine_similarity(found, exact, dim=0) > 0.98
    assert (found - exact).norm() < 0.2 * exact.norm()


def test_gradient_flows_through_bfloat16(policy: TransformerCaptioner, seen: Seen) -> None:
    """Weights that drawing has cast without gradient are not the ones that scoring uses."""
    single = TransformerCaptioner(policy.shape, policy.tokenizer)  # type: ignore[arg-type]
    grid = Seen()
    grid.grid = seen.grid.float()
    config = ScstConfig(samples_per_image=4, max_tokens=T)
    step = SelfCriticalStep(single, None, Listed(), grid, config)  # type: ignore[arg-type]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = step.objective(ScstBatch(np.arange(B), [["a"]] * B, torch.rand(B, 4, T)), {})
    loss.backward()
    silent = [n for n, p in single.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent
