"""The drawn world's random numbers: SplitMix64 over plain integers, one stream per key.

Own code on purpose: the world's bytes must be equal on every machine and in every version of every
library, and a key (seed, part, index, purpose) must give the same numbers whoever asks, in whatever
order. Nothing here knows of scenes.

Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def _mixed(value: int) -> int:
    """SplitMix64's finaliser: a bijection of 64-bit integers."""
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


class Generator:
    """A stream of integers that depends on nothing but its key."""

    def __init__(self, *key: int | str) -> None:
        """Start the stream of `key`, e.g. `Generator(seed, "val", 17, "scene")`."""
        state = 0
        for part in key:
            number = part if isinstance(part, int) else int.from_bytes(part.encode(), "big")
            while True:
                state = _mixed((state + _GAMMA) & _MASK ^ (number & _MASK))
                number >>= 64
                if number <= 0:
                    break
        self._state = state

    def bits(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + _GAMMA) & _MASK
        return _mixed(self._state)

    def below(self, limit: int) -> int:
        """An integer in [0, limit)."""
        return (self.bits() * limit) >> 64

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        """True in `percent` of 100 calls."""
        return self.below(100) < percent

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`, all alike."""
        return items[self.below(len(items))]

    def weighted(self, weights: Sequence[tuple[T, int]]) -> T:
        """One of the items, by its integer weight."""
        rest = self.below(sum(weight for _, weight in weights))
        for item, weight in weights:
            rest -= weight
            if rest < 0:
                return item
        raise ValueError(f"weights must be positive, came: {weights!r}")

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All `items` in random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

    def bytes_of(self, count: int) -> NDArray[np.int16]:
        """`count` integers in [0, 256) at once, shape (count,); uses one step of the stream."""
        start = self.bits()
        steps = np.arange((count + 7) // 8, dtype=np.uint64)
        value = steps * np.uint64(_GAMMA) + np.uint64(start)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
        value ^= value >> np.uint64(31)
        # `<u8`: the same bytes in the same order on a big-endian machine.
        return value.astype("<u8").view(np.uint8)[:count].astype(np.int16)
