"""A self-critical step on a GPU: its seconds, what they go to, and how busy scoring keeps the GPU.

At COCO's size: 6 encoder and 6 decoder layers of width 512, 9,488 words, 196 cells, 64 images, 5
samples of 20 tokens each and the greedy caption, bf16; CLIP ViT-B/32's text tower rewards in fp32.
`plain` draws as it comes, `compiled` by compiled steps. Needs CUDA; without it there is no figure.

step_s        wall seconds of a whole step, median; the GPU has finished what it was given
first_step_s  the first one: it waits for the compiler
draw_share    of step_s: the cached decode; `reward_share`: the texts' encoding and their scores;
              `score_share`: encoding of images, teacher-forced pass over the samples, backward.
              Each is timed alone, so that what runs side by side in a step counts for both
peak_flops    multiplications and additions a second of the best of large bf16 products, in this run
score_flops   of scoring, by torch's own count, attention in full; `score_over_peak`: its rate over
              that peak

Beside the figures lies `gpu_step_<way>.txt`, torch's profile of three steps, the costliest first.
"""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from finecap.rewards import RewardBatch
from tests.benchmarks.measure import NotMeasurable, results_folder
from tests.benchmarks.scst_world import Sizes, World

COCO = Sizes(cells=196, batch=64, layers=6, width=512, vocabulary=9488, bf16=True)
WAYS = {"plain": False, "compiled": True}
WARM_UPS = 4  # the compiler's, a run for memory, the recording of a graph, a replay
REPEATS = 10
PRODUCT = 8192  # rows and columns


def run() -> dict[str, object]:
    """The figures of the first GPU.

    Raises:
        NotMeasurable: there is none.
    """
    if not torch.cuda.is_available():
        raise NotMeasurable("it needs a CUDA device, and torch finds none; no figure is written")
    return figures(COCO, torch.device("cuda"), results_folder())


def figures(
    sizes: Sizes,
    device: torch.device,
    folder: Path,
    *,
    repeats: int = REPEATS,
    product: int = PRODUCT,
) -> dict[str, object]:
    """All figures, of other sizes and devices too.

    Args:
        sizes: of the step; its `compiled` is ours to set.
        device: that computes.
        folder: where the profiles are written.
        repeats: calls that a median is of.
        product: rows and columns of the matrices that show the device's peak.
    """
    folder.mkdir(parents=True, exist_ok=True)
    peak = peak_flops(device, product, repeats)
    found: dict[str, object] = {"device": name_of(device), "peak_flops": peak}
    for way, is_compiled in WAYS.items():
        world = World(sizes.but(compiled=is_compiled), device)
        found[way] = step_figures(world, peak, repeats)
        profiled = folder / f"gpu_step_{way}.txt"
        profiled.write_text(profile_of(world))
    return found


def step_figures(world: World, peak: float, repeats: int) -> dict[str, float]:
    """Seconds of a step and its parts, and the rate of scoring."""
    device, captions, B = world.device, world.captions(), world.sizes.batch
    numbers, texts = world.batch().uniforms, world.texts()
    said = [texts[i::B] for i in range(B)]
    with torch.no_grad(), world.precision():
        memory = world.policy.memory(world.grid)
    rewarded = RewardBatch(said, world.vectors, [["a reference"]] * B)
    first = seconds_of(world.step, device)
    step, draw, reward, score = (
        typical_seconds(work, device, repeats)
        for work in (
            world.step,
            lambda: world.draw(memory, numbers),
            lambda: world.reward(rewarded),
            lambda: world.backward(captions),
        )
    )
    flops = flops_of(lambda: world.backward(captions))
    shares = {"draw_share": draw / step, "reward_share": reward / step, "score_share": score / step}
    rate = {"score_flops": flops, "score_over_peak": flops / score / peak}
    return {"step_s": step, "first_step_s": first, **shares, **rate, **memory_of(device)}


def peak_flops(device: torch.device, size: int, repeats: int) -> float:
    """Operations a second of square bf16 products."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(WARM_UPS):
        a @ b
    return 2 * size**3 / min(seconds_of(lambda: a @ b, device) for _ in range(repeats))


def flops_of(work: Callable[[], object]) -> float:
    """Multiplications and additions of matrix products, as torch counts them.

    Attention goes by its plain form meanwhile, of which each device has the same count.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def typical_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median of so many calls after those that warm up."""
    for _ in range(WARM_UPS):
        work()
    return median(seconds_of(work, device) for _ in range(repeats))


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of a call, until the device has finished what it was given."""
    finish(device)
    started = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - started


def finish(device: torch.device) -> None:
    """Wait for a GPU; a CPU has finished when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def profile_of(world: World, steps: int = 3) -> str:
    """Torch's table of what steps spend their time in."""
    is_gpu = world.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    with profile(activities=activities) as profiled:
        for _ in range(steps):
            world.step()
        finish(world.device)
    column = "self_device_time_total" if is_gpu else "self_cpu_time_total"
    return profiled.key_averages().table(sort_by=column, row_limit=40)


def name_of(device: torch.device) -> str:
    """What the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def memory_of(device: torch.device) -> dict[str, float]:
    """The most of a GPU's memory that was taken so far, in 10^9 bytes."""
    if device.type != "cuda":
        return {}
    return {"peak_gb": torch.cuda.max_memory_allocated(device) / 1e9}
