"""A step's time and memory grow linearly in tokens, samples and images: three points each.

`exponent` is the slope of log seconds over log size: 1 is linear, below it a fixed part weighs in.
"""

import math

from tests.benchmarks.bench_scst_step import one_step
from tests.benchmarks.measure import cpu_seconds, peak_gb
from tests.benchmarks.scst_world import Sizes, World

BASE = Sizes(cells=49, batch=8, layers=2, width=256, vocabulary=2001, samples=4)
POINTS = {"tokens": (10, 20, 40), "samples": (3, 6, 12), "batch": (8, 16, 32)}


def run() -> dict[str, object]:
    """Seconds and memory at each point, and the exponent of growth."""
    found: dict[str, object] = {}
    for name, points in POINTS.items():
        sizes = [BASE.but(**{name: point}) for point in points]
        seconds = [cpu_seconds(World(s).step, repeats=4) for s in sizes]
        found[name] = {
            "points": list(points),
            "cpu_s": seconds,
            "peak_gb": [peak_gb(one_step, s) for s in sizes],
            "exponent": math.log(seconds[-1] / seconds[0]) / math.log(points[-1] / points[0]),
        }
    return found
