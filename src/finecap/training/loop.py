"""The mechanics every training stage shares: optimiser, schedule, clipping, NaN stop, progress.

A stage supplies `objective(batch) -> (loss, metrics)` and an iterable of batches; what is learned
is its business, how a step is taken is ours. Device and precision: CPU or CUDA by the parameters'
device, bfloat16 autocast where the stage asks for it.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from finecap.log import Log

Batch = TypeVar("Batch")


class TrainingDiverged(RuntimeError):  # noqa: N818 reads as what happened
    """The loss is not a number; carries the step."""


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the run: linear warm-up, then constant or cosine to zero."""

    lr: float
    steps: int
    warmup_steps: int
    cosine: bool = True

    def at(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if not self.cosine:
            return self.lr
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def parameter_groups(
    module: nn.Module, weight_decay: float, scale: float = 1.0
) -> list[dict[str, Any]]:
    """Two AdamW groups of the trainable parameters: matrices decay, biases and norms do not.

    `scale` multiplies the scheduled learning rate of both.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        {
            "params": [p for p in trainable if p.ndim > 1],
            "weight_decay": weight_decay,
            "scale": scale,
        },
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0, "scale": scale},
    ]


class Loop:
    """Takes optimiser steps and reports them.

    Args:
        groups: AdamW parameter groups, each with a `scale` of the learning rate.
        schedule: learning rate by step.
        log: progress.
        grad_clip: gradient norm, clipped.
        bf16: whether the objective runs under bfloat16 autocast.
        log_every: steps between lines of progress.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        schedule: Schedule,
        log: Log,
        *,
        grad_clip: float = 1.0,
        bf16: bool = False,
        log_every: int = 20,
    ) -> None:
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
        self.schedule, self.log, self.grad_clip, self.bf16 = schedule, log, grad_clip, bf16
        self.log_every, self.step_count = log_every, 0
        self._started = time.monotonic()

    def step(
        self, objective: Callable[[Batch], tuple[Tensor, dict[str, float]]], batch: Batch
    ) -> dict[str, float]:
        """One update; returns the objective's metrics with `loss`, `lr` and `grad_norm`."""
        lr = self.schedule.at(self.step_count)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            loss, metrics = objective(batch)
        if not torch.isfinite(loss):
            raise TrainingDiverged(
                f"loss is {loss.item()} at step {self.step_count} (lr {lr:.2g}); lower `lr` or "
                "lengthen the warm-up"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.grad_clip)
        self.optimizer.step()
        self.step_count += 1
        metrics = {"loss": loss.item(), "lr": lr, "grad_norm": norm.item(), **metrics}
        if self.step_count % self.log_every == 0 or self.step_count == self.schedule.steps:
            self._report(metrics)
        return metrics

    def run(
        self,
        objective: Callable[[Batch], tuple[Tensor, dict[str, float]]],
        batches: Iterable[Batch],
    ) -> dict[str, float]:
        """Step through `batches`; returns the last step's metrics."""
        metrics: dict[str, float] = {}
        for batch in batches:
            metrics = self.step(objective, batch)
        return metrics

    def _report(self, metrics: dict[str, float]) -> None:
        """One line of progress, with what is left."""
        per_step = (time.monotonic() - self._started) / self.step_count
        left_s = per_step * (self.schedule.steps - self.step_count)
        self.log(f"of {self.schedule.steps}, {left_s:.0f} s left", self.step_count, **metrics)
