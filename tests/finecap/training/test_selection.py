"""The best model so far is the one delivered, also after a restart."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from finecap.models.captioner import Captioner, load_captioner
from finecap.training.selection import Best


@pytest.fixture
def model(tiny: SimpleNamespace) -> Captioner:
    return load_captioner(tiny.mle)


def marked(model: Captioner, value: float) -> None:
    with torch.no_grad():
        next(model.parameters()).fill_(value)


def mark_of(folder: Path) -> float:
    return next(load_captioner(folder).parameters()).flatten()[0].item()


def offer(best: Best, values: list[float], start: int = 0) -> None:
    for step, value in enumerate(values, start):
        marked(best.model, value)
        best.offer(value, step)


def test_the_best_is_delivered_not_the_last(model: Captioner, tmp_path: Path) -> None:
    best = Best(model, tmp_path)
    offer(best, [0.1, 0.9, 0.2])
    best.deliver(tmp_path)
    assert mark_of(tmp_path) == pytest.approx(0.9)
    assert (best.step, best.looks_since) == (1, 1)
    assert not list(tmp_path.glob("best-*"))


def test_a_moment_that_is_not_allowed_is_never_kept(model: Captioner, tmp_path: Path) -> None:
    best = Best(model, tmp_path)
    offer(best, [0.1])
    marked(model, 0.9)
    best.offer(0.9, 1, is_allowed=False)
    best.deliver(tmp_path)
    assert mark_of(tmp_path) == pytest.approx(0.1)


def test_after_a_restart_the_checkpoints_best_is_delivered(
    model: Captioner, tmp_path: Path
) -> None:
    """The run ended between a new best and the next checkpoint; what comes again is worse."""
    kept, destination = tmp_path / "kept", tmp_path / "out"
    best = Best(model, kept)
    offer(best, [0.1, 0.5])
    state = best.state_dict()
    offer(best, [0.9], start=2)
    again = Best(model, kept)
    again.load_state_dict(state)
    offer(again, [0.4], start=2)
    again.deliver(destination)
    assert mark_of(destination) == pytest.approx(0.5)
    assert [f.name for f in kept.iterdir()] == ["best-00000001"]
