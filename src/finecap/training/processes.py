"""Several processes that train one model: each takes its part of every batch, gradients add up.

`torchrun` starts them and says in the environment who is who; a run without it is alone. Averages
are over the global batch, so that the trajectory does not depend on how many processes there are.

All of them read the same files, draw the same seeded batches and see the same numbers of val, so
that each comes to the same decisions; the first alone writes. Who waits for a dead one is told by
its broken connection, and `TIMEOUT` ends the wait where the network says nothing.

Why not DistributedDataParallel: a step's parts are weighted by what their mean is over (images, or
words), and a module whose memory is scored in several passes has no one `forward` to wrap. Two sums
a step, of the gradients and of the metrics, are all there is to it.
"""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = timedelta(minutes=10)
"""More than any of them is ever ahead: the first writes a checkpoint while the others wait."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files."""
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

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, mean in zip(tensors, (flat / self.count).split(sizes), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def highest(self, number: int) -> int:
        """The highest of all processes' numbers."""
        if self.count == 1:
            return number
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def gather(self, value: Result) -> list[Result]:
        """Every process's value, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def map(
        self, function: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """What `function` makes of all items, each process doing its part; all have the whole."""
        edges = [len(items) * i // self.count for i in range(self.count + 1)]
        own = items[edges[self.rank] : edges[self.rank + 1]]
        parts = self.gather(list(function(own)) if own else [])
        return [result for part in parts for result in part]

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.highest(0)


ALONE = Processes()


@contextmanager
def joined() -> Generator[Processes]:
    """This process among those that `torchrun` started; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    # Numbers and texts travel from the CPU even where models do not. NCCL wants a GPU for each.
    has_gpus = 0 < int(os.environ["LOCAL_WORLD_SIZE"]) <= torch.cuda.device_count()
    dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpus else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
