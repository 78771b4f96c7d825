"""The loop's mechanics: schedule, weight decay, parts of a batch, divergence."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers
from safetensors.torch import load_file
from torch import Tensor, nn

from finecap.log import silent
from finecap.training.checkpoint import Checkpoints
from finecap.training.loop import (
    Loop,
    Schedule,
    TrainingDiverged,
    parameter_groups,
    scaled_groups,
)
from finecap.training.processes import Processes

NO_CHECKPOINTS = Checkpoints(None, {}, silent)


def test_warm_up_ends_at_the_learning_rate() -> None:
    schedule = Schedule(lr=1.0, steps=10, warmup_steps=4, cosine=False)
    assert [schedule.at(s) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_ends_near_zero() -> None:
    schedule = Schedule(lr=1.0, steps=100, warmup_steps=10)
    assert schedule.at(10) == pytest.approx(1.0)
    assert schedule.at(99) < 0.01


def test_only_matrices_decay() -> None:
    decayed, spared = parameter_groups(nn.Linear(3, 2), weight_decay=0.1)
    assert [p.ndim for p in decayed["params"]] == [2]
    assert spared["weight_decay"] == 0.0
    assert [p.ndim for p in spared["params"]] == [1]


def test_frozen_parameters_are_left_out() -> None:
    linear = nn.Linear(3, 2)
    linear.weight.requires_grad = False
    decayed, spared = parameter_groups(linear, 0.1)
    assert not decayed["params"]
    assert len(spared["params"]) == 1


def test_each_part_learns_at_its_scale() -> None:
    fast, slow = nn.Linear(1, 1), nn.Linear(1, 1)
    start = [layer.weight.item() for layer in (fast, slow)]
    groups = scaled_groups([(fast, 1.0), (slow, 0.1)], weight_decay=0.0)
    loop = Loop(groups, Schedule(0.1, 5, 0, cosine=False), silent, grad_clip=1e9)
    loop.step(lambda _: (fast.weight.sum() + slow.weight.sum(), {}), None)
    moved = [s - layer.weight.item() for s, layer in zip(start, (fast, slow), strict=True)]
    assert moved == pytest.approx([0.1, 0.01], rel=1e-3)


def test_a_part_that_is_frozen_takes_no_step() -> None:
    learning, frozen = nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False)
    before = frozen.weight.item()
    groups = scaled_groups([(learning, 1.0), (frozen, 1.0)], weight_decay=0.1)
    loop = Loop(groups, Schedule(0.1, 5, 0, cosine=False), silent)
    loop.step(lambda _: (frozen(learning(torch.ones(1, 1))).sum(), {}), None)
    assert frozen.weight.item() == before


def descend(steps: int) -> float:
    torch.manual_seed(0)
    linear = nn.Linear(4, 1)
    loop = Loop(parameter_groups(linear, 0.0), Schedule(0.1, steps, 1, cosine=False), silent)

    def objective(batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        return (linear(batch) - batch.sum(-1, keepdim=True)).square().mean(), {}

    return loop.run(objective, lambda: torch.randn(16, 4), NO_CHECKPOINTS)["loss"]


def test_steps_descend() -> None:
    assert descend(60) < 0.2 * descend(1)


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    linear = nn.Linear(1, 1)
    loop = Loop(parameter_groups(linear, 0.0), Schedule(0.1, 5, 1), silent)
    with pytest.raises(TrainingDiverged, match=r"loss is nan at step 0 .*lower `lr`"):
        loop.step(lambda _: (linear.weight.sum() * float("nan"), {}), None)


def test_a_gradient_that_is_no_number_keeps_batch_and_weights(tmp_path: Path) -> None:
    linear = nn.Linear(1, 1)
    before = linear.weight.clone()
    loop = Loop(parameter_groups(linear, 0.0), Schedule(0.1, 5, 1), silent, diverged=tmp_path)

    def objective(batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        return (linear.weight * 0).sqrt().sum() * batch.sum(), {}

    with pytest.raises(TrainingDiverged, match=r"norm is nan .* the batch is in .*diverged\.json"):
        loop.step(objective, torch.full((2,), 3.0))
    assert torch.equal(linear.weight, before)
    assert load_file(tmp_path / "diverged.safetensors")["batch.batch"].tolist() == [3.0, 3.0]


@dataclass
class Rows:
    """A batch of numbers, each weighing as much as it is worth."""

    numbers: Tensor  # (B,)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def weight(self) -> float:
        return float(self.numbers.sum())

    def part(self, rows: slice) -> "Rows":
        return Rows(self.numbers[rows])


def shares(count: int, rank: int, accumulate: int, processes: int) -> list[tuple[float, int]]:
    """Share and rows of each part that a process takes of a batch of that many."""
    groups = parameter_groups(nn.Linear(1, 1), 0.0)
    those = Processes(rank, processes)
    loop = Loop(groups, Schedule(0.1, 5, 1), silent, accumulate=accumulate, processes=those)
    return [(share, len(part)) for share, part in loop._parts(Rows(torch.ones(count)))]


def test_a_batch_smaller_than_its_parts_is_taken_row_by_row() -> None:
    assert shares(2, 0, accumulate=4, processes=1) == [(0.5, 1), (0.5, 1)]


def test_a_batch_smaller_than_the_processes_is_taken_whole_by_each() -> None:
    assert shares(1, 0, accumulate=1, processes=2) == [(0.5, 1)]
    assert shares(1, 1, accumulate=1, processes=2) == [(0.5, 1)]
    assert shares(2, 2, accumulate=2, processes=4) == [(0.125, 1), (0.125, 1)]


@given(
    count=integers(1, 30), accumulate=integers(1, 5), processes=integers(1, 5), seed=integers(0, 9)
)
def test_shares_of_all_processes_sum_to_one_and_cover_each_row_alike(
    count: int, accumulate: int, processes: int, seed: int
) -> None:
    numbers = torch.from_numpy(np.random.default_rng(seed).random(count)) + 0.1
    groups = parameter_groups(nn.Linear(1, 1), 0.0)
    weighed = torch.zeros(())
    for rank in range(processes):
        those = Processes(rank, processes)
        loop = Loop(groups, Schedule(0.1, 5, 1), silent, accumulate=accumulate, processes=those)
        parts = loop._parts(Rows(numbers))
        assert parts
        weighed = weighed + sum(share * (p.numbers**2).sum() / p.weight for share, p in parts)
    assert weighed.item() == pytest.approx(float((numbers**2).sum() / numbers.sum()))


def test_each_process_draws_its_own_dropout_and_the_same_at_the_same_step() -> None:
    def drawn(rank: int, step: int) -> list[float]:
        torch.manual_seed(7)
        groups = parameter_groups(nn.Linear(1, 1), 0.0)
        loop = Loop(groups, Schedule(0.1, 5, 1), silent, processes=Processes(rank, 3))
        loop.step_count = step
        loop._draw_apart()
        return torch.rand(3).tolist()

    seen = [drawn(rank, step) for rank in (1, 2) for step in (0, 1)] + [drawn(0, 0)]
    assert len({tuple(numbers) for numbers in seen}) == len(seen)
    assert drawn(2, 1) == drawn(2, 1)


def test_progress_is_reported_with_its_step() -> None:
    seen: list[tuple[int | None, set[str]]] = []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        assert "left" in message
        seen.append((step, set(metrics)))

    linear = nn.Linear(1, 1)
    loop = Loop(parameter_groups(linear, 0.0), Schedule(0.1, 4, 1), log, log_every=2)
    draw = partial(torch.ones, 1, 1)
    loop.run(lambda x: (linear(x).sum(), {"extra": 1.0}), draw, NO_CHECKPOINTS)
    assert [step for step, _ in seen] == [2, 4]
    assert {"loss", "lr", "grad_norm", "extra"} <= seen[0][1]
