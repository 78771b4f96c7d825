"""The loop's mechanics: schedule, weight decay, divergence."""

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from finecap.log import silent
from finecap.training.checkpoint import Checkpoints
from finecap.training.loop import Loop, Schedule, TrainingDiverged, parameter_groups

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


def test_a_batch_smaller_than_its_parts_is_refused() -> None:
    linear = nn.Linear(1, 1)
    loop = Loop(parameter_groups(linear, 0.0), Schedule(0.1, 5, 1), silent, accumulate=4)
    with pytest.raises(ValueError, match="a batch of 2 cannot be taken in 4 parts"):
        loop.step(lambda x: (linear(x).sum(), {}), torch.ones(2, 1))


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
