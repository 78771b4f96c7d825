"""What comes next: seeded, and resumable at any step.

What is done with the rows (texts, pixels, negatives) is the stage's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch

Batch = TypeVar("Batch")


class SeededRows:
    """Rows of 0..N-1 in seeded order, each once before any comes again.

    Args:
        count: N.
        batch_size: rows a batch.
        seed: of the order.
        keep_last: whether an epoch's last, smaller batch is drawn; otherwise it is left out.
    """

    def __init__(self, count: int, batch_size: int, seed: int, *, keep_last: bool = False) -> None:
        self.count, self.batch_size, self.keep_last = count, min(batch_size, count), keep_last
        self.generator = np.random.default_rng(seed)
        self._order = np.empty(0, dtype=np.int64)

    def next(self) -> np.ndarray:
        """The rows (B,) of the next batch."""
        needed = 1 if self.keep_last else self.batch_size
        if len(self._order) < needed:
            self._order = self.generator.permutation(self.count)
        rows, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        return rows

    def state_dict(self) -> Mapping[str, Any]:
        """The generator's state and what is left of this epoch."""
        return {
            "generator": json_state(self.generator),
            "order": torch.from_numpy(self._order.copy()),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.generator.bit_generator.state = state_dict["generator"]
        self._order = state_dict["order"].numpy()


class SeededDraws(Generic[Batch]):
    """Batches drawn each on its own, with no memory of those before.

    Args:
        draw: makes a batch by the chance of the generator alone.
        seed: of the generator.
    """

    def __init__(self, draw: Callable[[np.random.Generator], Batch], seed: int) -> None:
        self._draw, self._generator = draw, np.random.default_rng(seed)

    def next(self) -> Batch:
        """The next batch."""
        return self._draw(self._generator)

    def state_dict(self) -> Mapping[str, Any]:
        """The generator's state."""
        return {"generator": json_state(self._generator)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._generator.bit_generator.state = state_dict["generator"]


def json_state(generator: np.random.Generator) -> Mapping[str, Any]:
    """A generator's state as JSON values."""
    return dict(generator.bit_generator.state)
