"""The mechanics every training stage shares: optimiser, schedule, clipping, NaN stop, progress.

A stage supplies `objective(batch) -> (loss, metrics)` and an iterable of batches; what is learned
is its business, how a step is taken is ours. Device and precision: CPU or CUDA by the parameters'
device, bfloat16 autocast where the stage asks for it. A batch may be taken in parts, one after
another (accumulation) or by several processes: the step is that of the whole batch.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from finecap.log import Log
from finecap.training.checkpoint import Checkpoints, save_batch
from finecap.training.processes import ALONE, Processes

Batch = TypeVar("Batch")
Objective = Callable[[Batch], tuple[Tensor, dict[str, float]]]


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


def scaled_groups(
    parts: Iterable[tuple[nn.Module, float]], weight_decay: float
) -> list[dict[str, Any]]:
    """The groups of several modules, each with the scale of its learning rate."""
    return [g for part, scale in parts for g in parameter_groups(part, weight_decay, scale)]


class Divisible(Protocol):
    """A batch that can be taken in parts."""

    def __len__(self) -> int:
        """B, what it is divided by."""
        ...

    @property
    def weight(self) -> float:
        """What its mean is over: images, or words."""
        ...

    def part(self, rows: slice) -> Self:
        """Some of its rows."""
        ...


class Loop:
    """Takes optimiser steps and reports them.

    Args:
        groups: AdamW parameter groups, each with a `scale` of the learning rate.
        schedule: learning rate by step.
        log: progress; each process reports to its own.
        grad_clip: gradient norm, clipped.
        bf16: whether the objective runs under bfloat16 autocast.
        log_every: steps between lines of progress.
        accumulate: parts a batch is taken in, one after another.
        processes: those that share the batches.
        diverged: folder that a batch is written to whose loss or gradient is no number.
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
        accumulate: int = 1,
        processes: Processes = ALONE,
        diverged: Path | None = None,
    ) -> None:
        # Fused: no temporary copies of all parameters, which are the peak of a step's memory.
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98), fused=True)
        self.schedule, self.log, self.grad_clip, self.bf16 = schedule, log, grad_clip, bf16
        self.log_every, self.accumulate, self.processes = log_every, accumulate, processes
        self.diverged, self.step_count = diverged, 0
        self._started, self._first_step = time.monotonic(), 0
        self._seed = torch.initial_seed()

    @property
    def parameters(self) -> list[Tensor]:
        """All that learns."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def step(self, objective: Objective[Batch], batch: Batch) -> dict[str, float]:
        """One update; returns the objective's metrics with `loss`, `lr` and `grad_norm`.

        Raises:
            TrainingDiverged: loss or gradient is no number; names the file that holds the batch.
        """
        lr = self.schedule.at(self.step_count)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        self.optimizer.zero_grad(set_to_none=True)
        self._draw_apart()
        metrics = self._gradients(objective, batch)
        self.processes.add_gradients(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.grad_clip).item()
        if not math.isfinite(norm):
            raise self._divergence(f"the gradient's norm is {norm}", batch)
        self.optimizer.step()
        self.step_count += 1
        metrics = {"loss": metrics.pop("loss"), "lr": lr, "grad_norm": norm, **metrics}
        if self.step_count % self.log_every == 0 or self.step_count == self.schedule.steps:
            self._report(metrics)
        return metrics

    def run(
        self, objective: Objective[Batch], draw: Callable[[], Batch], resumable: Checkpoints
    ) -> dict[str, float]:
        """Step until the schedule ends, saving on the way; returns the last step's metrics."""
        metrics: dict[str, float] = {}
        while self.step_count < self.schedule.steps:
            metrics = self.step(objective, draw())
            resumable.after_step(self.step_count)
        resumable.after_step(self.step_count, now=True)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, step, and torch's own random state, which dropout draws from."""
        random = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["cuda"] = torch.cuda.get_rng_state()
        moments = self.optimizer.state_dict()["state"]
        return {"step": self.step_count, "optimizer": moments, "random": random}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state_dict["optimizer"], "param_groups": groups})
        self.step_count = self._first_step = state_dict["step"]
        torch.set_rng_state(state_dict["random"]["cpu"])
        if "cuda" in state_dict["random"]:
            torch.cuda.set_rng_state(state_dict["random"]["cuda"])

    def _gradients(self, objective: Objective[Batch], batch: Batch) -> dict[str, float]:
        """Backward through the batch, part by part; loss and metrics of the whole."""
        device = self.parameters[0].device.type
        totals: dict[str, float] = {}
        for share, part in self._parts(batch):
            with torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16):
                loss, metrics = objective(part)
            (loss * share).backward()
            reached = loss.item()  # only now: a GPU is then at work while the host waits for it
            if not math.isfinite(reached):
                raise self._divergence(f"loss is {reached}", part)
            for name, value in {"loss": reached, **metrics}.items():
                totals[name] = totals.get(name, 0.0) + share * value
        return self.processes.add(totals)

    def _parts(self, batch: Any) -> list[tuple[float, Any]]:
        """This process's parts of a batch, with their shares of the whole.

        An epoch's last batch may have fewer rows than there are processes: then each takes all of
        it, and its share is that of one among them.
        """
        rank, processes = self.processes.rank, self.processes.count
        if self.accumulate * processes == 1:
            return [(1.0, batch)]
        divisible: Divisible = batch
        takers = processes if len(divisible) >= processes else 1
        count = min(len(divisible), self.accumulate * takers)
        edges = [len(divisible) * i // count for i in range(count + 1)]
        parts = [divisible.part(slice(*edge)) for edge in pairwise(edges)]
        whole = divisible.weight * processes / takers
        return [(part.weight / whole, part) for part in parts[rank % takers :: takers]]

    def _draw_apart(self) -> None:
        """Give each other process than the first its own dropout, which no checkpoint holds."""
        rank = self.processes.rank
        if rank:
            entropy = np.random.SeedSequence([self._seed, self.step_count, rank])
            torch.manual_seed(int(entropy.generate_state(1)[0]))

    def _divergence(self, what: str, batch: Any) -> TrainingDiverged:
        """The error, and the batch on disk where there is a place for it."""
        kept, rank = "", self.processes.rank
        if self.diverged is not None:
            folder = self.diverged / f"process-{rank}" if rank else self.diverged
            kept = f"; the batch is in {save_batch(folder, batch)}"
        return TrainingDiverged(
            f"{what} at step {self.step_count} (lr {self.schedule.at(self.step_count):.2g}){kept}; "
            "lower `lr` or lengthen the warm-up"
        )

    def _report(self, metrics: dict[str, float]) -> None:
        """One line of progress: rate, and what is left."""
        done = self.step_count - self._first_step
        per_step = (time.monotonic() - self._started) / done
        left_s = per_step * (self.schedule.steps - self.step_count)
        pace = f"{1 / per_step:.1f} steps/s, {left_s:.0f} s left"
        self.log(f"of {self.schedule.steps}, {pace}", self.step_count, **metrics)
