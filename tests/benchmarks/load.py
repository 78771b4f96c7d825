"""A bounded load on a server of this machine: so many clients, each asking on as it is answered.

Sends to 127.0.0.1 alone, for so many seconds, and stops. Raw sockets, so that the clients cost the
machine, which server and clients share, as little as can be.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from urllib.parse import urlencode

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "white", "black")
OBJECTS = ("boat", "car", "house", "tree", "cat", "kite", "balloon", "bench", "bird", "umbrella")
PLACES = ("sea", "forest", "city", "desert", "snow", "beach", "sunset", "meadow", "night")


@dataclass
class Load:
    """What came of it."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of the requests stayed below."""
        ordered = sorted(self.latencies_s)
        return 1_000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    @property
    def errors(self) -> int:
        """Answers that were none."""
        return sum(count for status, count in self.statuses.items() if status != 200)


def questions(path: str, seed: int) -> Iterator[str]:
    """Addresses below `path`, which ends in its own query, each of other words: none comes soon
    again: 7,200 differ.
    """
    asked = [
        f"a {first} {thing} with a {second} {other} in the {place}"
        for (first, second), thing, other, place in product(
            pairwise(COLOURS), OBJECTS, OBJECTS[1:], PLACES
        )
    ]
    random.Random(seed).shuffle(asked)  # noqa: S311 - no secret
    while True:
        for words in asked:
            yield f"{path}&{urlencode({'q': words})}"


def load(port: int, clients: int, seconds: float, next_path: Callable[[], str]) -> Load:
    """Ask for `seconds` from that many connections at once."""
    return asyncio.run(_load(port, clients, seconds, next_path))


async def _load(port: int, clients: int, seconds: float, next_path: Callable[[], str]) -> Load:
    result = Load()
    start = time.perf_counter()
    await asyncio.gather(
        *(_client(port, start + seconds, next_path, result) for _ in range(clients))
    )
    result.seconds = time.perf_counter() - start
    return result


async def _client(port: int, until: float, next_path: Callable[[], str], result: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(f"GET {next_path()} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        result.latencies_s.append(time.perf_counter() - start)
        result.statuses[int(head.split()[1])] += 1
    writer.close()
    await writer.wait_closed()
