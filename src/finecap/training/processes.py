"""Several processes that train one model: each takes its part of every batch, gradients add up.

`torchrun` starts them and says in the environment who is who; a run without it is alone. Averages
are over the global batch, so that the trajectory does not depend on how many processes there are.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and reports."""
        return self.rank == 0

    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace each gradient by the sum over all processes."""
        if self.count == 1:
            return
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in own])
        dist.all_reduce(flat)
        sizes = [p.numel() for p in parameters]
        for parameter, gradient in zip(parameters, flat.split(sizes), strict=True):
            parameter.grad = gradient.view_as(parameter)

    def add(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Each number summed over all processes, which must have the same names."""
        if self.count == 1:
            return dict(metrics)
        names = sorted(metrics)
        totals = torch.tensor([metrics[name] for name in names], dtype=torch.float64)
        dist.all_reduce(totals)
        return dict(zip(names, totals.tolist(), strict=True))

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined() -> Generator[Processes]:
    """This process among those that `torchrun` started; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
