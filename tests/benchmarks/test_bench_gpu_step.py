"""The benchmark of a GPU's step runs whole, also where there is none to measure."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.benchmarks import bench_gpu_step
from tests.benchmarks.__main__ import main
from tests.benchmarks.bench_gpu_step import COCO, figures, flops_of
from tests.benchmarks.measure import NotMeasurable
from tests.benchmarks.scst_world import World

CPU = torch.device("cpu")
TINY = COCO.but(cells=4, batch=2, layers=1, width=64, vocabulary=40, samples=2, tokens=4)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: g++")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_all_of_it_runs_at_tiny_size_on_a_cpu(tmp_path: Path) -> None:
    found = figures(TINY, CPU, tmp_path, repeats=1, product=16)
    for way in ("plain", "compiled"):
        own = found[way]
        assert isinstance(own, dict)
        assert all(value > 0 for value in own.values())
        assert {"step_s", "draw_share", "reward_share", "score_over_peak"} <= set(own)
        assert "Self CPU" in (tmp_path / f"gpu_step_{way}.txt").read_text()


def test_scoring_is_counted_as_by_hand() -> None:
    world = World(TINY, CPU)
    captions, W, V = world.captions(), TINY.width, TINY.vocabulary
    cells, words = TINY.batch * TINY.cells, captions.numel()
    of_cells = W * W + (4 + 8) * W * W + 2 * W * W  # into the width, a layer, keys and values
    of_words = (4 + 2 + 8) * W * W + W * V
    attention = 2 * W * (cells * TINY.cells + words * TINY.tokens + words * TINY.cells)
    products = cells * of_cells + words * of_words + attention
    # Twice for multiplication and addition; forward, and backward to both factors.
    assert flops_of(lambda: world.backward(captions)) == pytest.approx(6 * products, rel=0.01)


def test_without_a_gpu_there_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotMeasurable, match="needs a CUDA device, and torch finds none"):
        bench_gpu_step.run()
    if torch.cuda.device_count():
        pytest.skip("the command's own process would find a GPU")
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path))
    main(["gpu_step"])
    assert "gpu_step: not measured: it needs a CUDA device" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.json"))
