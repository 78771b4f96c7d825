"""A fleet that cannot be had here, simulated: machines that may be taken away caption in shards.

Paper, as `scale` is, for what a sum does not tell: what kills, starts, a limit of steps at once and
the index's only writer make of it. A machine of one core takes a shard, which costs a start and the
measured time of its images, spread as measured; a kill, at any moment of its life alike, loses what
the shard had, and it waits again. A finished shard is written by the one process that may write the
index. Events are ends of attempts, in the order of their time; nothing else happens between them.

By J. W. Young, "A first order approximation to the optimum checkpoint interval" (CACM 17, 1974), a
shard costs the least that takes sqrt(2 start life); the test holds the simulation against that.
"""

import heapq
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_project import scale

HOUR_S = 3600.0
CAPTION_S = scale.DECODE_S + scale.ENCODE_IMAGE_S + scale.GREEDY_S + scale.ENCODE_TEXT_S
SPREAD = 0.07
"""Standard deviation of the time of the same work, over its mean, on a machine that is shared."""
START_S = 60.0
"""Of a step's pod: 15 s of imports and loading were measured, 45 s to be scheduled are assumed."""
LIFE_H, REPLACE_S = 24.0, 120.0
"""Until a machine is taken away, in the mean, and until there is another: both assumed."""
SEEDS = range(20)
_MANY = 100.0
"""From it on no decimal is shown."""


@dataclass(frozen=True)
class Fleet:
    """What is to be done, and by what."""

    images: int
    machines: int  # of one core
    shard: int  # images
    row_s: float = scale.FOLDER_ROW_S
    image_s: float = CAPTION_S
    spread: float = SPREAD
    start_s: float = START_S
    life_h: float = LIFE_H  # math.inf: nobody is killed
    replace_s: float = REPLACE_S
    pool: float = math.inf  # steps at once, as the pool `gpu` may be limited

    @property
    def shards(self) -> list[int]:
        """Images of each."""
        whole, rest = divmod(self.images, self.shard)
        return [self.shard] * whole + ([rest] if rest else [])

    @property
    def ideal_s(self) -> float:
        """By the sum: no start, no kill, all at work until the end."""
        return self.images * self.image_s / min(self.machines, self.pool)

    @property
    def ideal_core_s(self) -> float:
        """Of captioning and writing, by the sum."""
        return self.images * (self.image_s + self.row_s)


@dataclass
class Outcome:
    """Of one fleet and one seed; seconds, of cores but for the first."""

    end_s: float = 0.0  # when the last row is written
    useful_s: float = 0.0
    starting_s: float = 0.0  # of attempts that came to their end
    killed_s: float = 0.0  # of those that did not, their starts included
    writing_s: float = 0.0
    images: int = 0
    kills: int = 0

    @property
    def core_s(self) -> float:
        """All that is paid for."""
        return self.useful_s + self.starting_s + self.killed_s + self.writing_s


def simulate(fleet: Fleet, seed: int) -> Outcome:
    """What becomes of it; the same seed, the same."""
    draw, outcome = random.Random(seed), Outcome()  # noqa: S311  no secret
    waiting, free, at_work, now = fleet.shards, fleet.machines, 0, 0.0
    events: list[tuple[float, int, int, float]] = []  # when, kind, images, seconds of work
    ended, killed, back = 0, 1, 2
    variance = math.log1p(fleet.spread**2)  # so that the factor's mean is 1
    while waiting or events:
        while waiting and free and at_work < fleet.pool:
            size, free, at_work = waiting.pop(), free - 1, at_work + 1
            work = size * fleet.image_s * draw.lognormvariate(-variance / 2, math.sqrt(variance))
            life = draw.expovariate(1.0) * fleet.life_h * HOUR_S  # whatever the machine's age
            is_killed = life < fleet.start_s + work
            lasts = life if is_killed else fleet.start_s + work
            heapq.heappush(events, (now + lasts, killed if is_killed else ended, size, lasts))
        now, kind, size, lasts = heapq.heappop(events)
        if kind == back:
            free += 1
            continue
        at_work -= 1
        if kind == killed:
            outcome.kills, outcome.killed_s = outcome.kills + 1, outcome.killed_s + lasts
            waiting.append(size)
            heapq.heappush(events, (now + fleet.replace_s, back, 0, 0.0))
            continue
        free += 1
        outcome.useful_s += lasts - fleet.start_s
        outcome.starting_s += fleet.start_s
        outcome.images += size
        outcome.writing_s += size * fleet.row_s
        outcome.end_s = max(outcome.end_s, now) + size * fleet.row_s
    return outcome


FLEETS = (
    *(Fleet(1_000_000, 10, shard) for shard in (1_000, 10_000, 100_000)),
    Fleet(1_000_000, 100, 10_000),
    *(Fleet(100_000_000, machines, 10_000) for machines in (100, 1_000)),
    *(Fleet(100_000_000, m, 10_000, scale.DATABASE_ROW_S) for m in (200, 1_000)),
)


def table(fleets: Sequence[Fleet] | None = None) -> str:
    """Hours, core hours and what of them is lost: the mean, and the range of nine seeds in ten."""
    heads = ("images", "machines", "shard", "index", "hours (sum)", "core hours (sum)", "lost")
    lines = [f"| {' | '.join(heads)} to kills, starts |", "|---:|---:|---:|---|---:|---:|---:|"]
    return "\n".join([*lines, *map(_row, FLEETS if fleets is None else fleets)])


def _row(fleet: Fleet) -> str:
    found = [simulate(fleet, seed) for seed in SEEDS]
    engine = "HNSW" if fleet.row_s == scale.DATABASE_ROW_S else "folder"
    hours = f"{_range([o.end_s / HOUR_S for o in found])} ({fleet.ideal_s / HOUR_S:,.1f})"
    cores = f"{_range([o.core_s / HOUR_S for o in found])} ({fleet.ideal_core_s / HOUR_S:,.0f})"
    killed = statistics.mean(o.killed_s / o.core_s for o in found)
    starting = statistics.mean(o.starting_s / o.core_s for o in found)
    numbers = " | ".join(f"{n:,}" for n in (fleet.images, fleet.machines, fleet.shard))
    return f"| {numbers} | {engine} | {hours} | {cores} | {killed:.1%}, {starting:.1%} |"


def _range(values: Sequence[float]) -> str:
    """The mean, and between which values nine in ten lie."""
    ordered = sorted(values)
    outside = len(ordered) // 20
    low, high = ordered[outside], ordered[-1 - outside]
    digits = 0 if low >= _MANY else 1
    return f"{statistics.mean(values):,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"
