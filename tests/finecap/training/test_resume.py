"""A run that goes on from a checkpoint is the run that was never broken off, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finecap.config import ClipRewardConfig, GrammarNegativesConfig, ScstConfig
from finecap.log import Log, silent
from finecap.negatives.grammar import build_table
from finecap.training import checkpoint
from finecap.training.clip import train_clip
from finecap.training.clip_reward import finetune
from finecap.training.mle import train_mle
from finecap.training.scst import train_scst

SCST = ScstConfig(steps=12, val_every=4, batch_size=16, lr=2e-3, max_tokens=20, kl_weight=0.01)

Train = Callable[[Path, Log, Path | None], dict[str, float]]


class Broken(Exception):  # noqa: N818 it is what happens to the run
    """The run ends here."""


def mle(tiny: SimpleNamespace, **changes: Any) -> Train:
    config = tiny.mle_config.model_copy(update={"epochs": 3, **changes})
    return lambda folder, log, kept: train_mle(
        tiny.features, tiny.records, config, folder, log, kept
    )


def scst(tiny: SimpleNamespace, **changes: Any) -> Train:
    config = SCST.model_copy(update=changes)
    return lambda folder, log, kept: train_scst(
        tiny.mle, tiny.features, tiny.records, tiny.encoder, config, folder, log, kept
    )


def clip(tiny: SimpleNamespace, **changes: Any) -> Train:
    config = tiny.clip_config.model_copy(update={"word_dropout": 0.1, "epochs": 4, **changes})
    return lambda folder, log, kept: train_clip(
        tiny.folder, tiny.records, config, folder, log, kept
    )


def clip_reward(tiny: SimpleNamespace, **changes: Any) -> Train:
    """A threshold selects the positives by the head as it was before the other losses."""
    table = build_table(tiny.records, GrammarNegativesConfig(max_captions=100))
    config = ClipRewardConfig.model_validate(
        {"grammar_steps": 15, "steps": 8, "batch_size": 16, "positive_threshold": 0.4, **changes}
    )
    return lambda folder, log, kept: finetune(
        tiny.encoder, tiny.folder, tiny.records, table, None, config, folder, log, kept
    )


STAGES = {"mle": (mle, 7), "scst": (scst, 8), "clip": (clip, 10), "clip_reward": (clip_reward, 14)}


def breaking_at(last: int) -> Log:
    """Progress that breaks the run off at the first line after step `last`."""

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        del message, metrics
        if step is not None and step > last:
            raise Broken

    return log


@pytest.mark.parametrize("stage", STAGES)
def test_going_on_is_going_straight(
    tiny: SimpleNamespace,
    weights_of: Callable[[Path], bytes],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    make, last = STAGES[stage]
    straight, resumed, kept = tiny.new(), tiny.new(), tiny.new()
    train = make(tiny)
    expected = train(straight, silent, None)
    monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)  # after each step, wherever val is looked at
    with pytest.raises(Broken):
        train(tiny.new(), breaking_at(last), kept)
    seen: list[str] = []
    again = train(resumed, lambda message, *_, **__: seen.append(message), kept)
    (resumed_at,) = [int(line.split()[-1]) for line in seen if line.startswith("going on from")]
    assert resumed_at > 1
    assert again == expected
    assert weights_of(resumed) == weights_of(straight)


@pytest.mark.parametrize("stage", STAGES)
def test_a_finished_run_is_delivered_again_without_a_step(
    tiny: SimpleNamespace, weights_of: Callable[[Path], bytes], stage: str
) -> None:
    train, kept = STAGES[stage][0](tiny), tiny.new()
    first, again = tiny.new(), tiny.new()
    train(first, silent, kept)

    seen: list[str] = []
    train(again, lambda message, *_, **__: seen.append(message), kept)
    assert not [line for line in seen if "steps/s" in line]
    assert weights_of(again) == weights_of(first)


@pytest.mark.parametrize("stage", STAGES)
def test_eight_by_one_is_one_by_eight(tiny: SimpleNamespace, stage: str) -> None:
    """Accumulated parts take the step of the whole batch, but for the order of additions."""
    make, _ = STAGES[stage]
    changes: dict[str, Any] = {
        "mle": {"dropout": 0.0},
        "scst": {"steps": 3},
        "clip": {"bf16": False, "epochs": 1},
        "clip_reward": {},
    }[stage]
    whole = make(tiny, **changes)(tiny.new(), silent, None)
    parts = make(tiny, **changes, accumulate=8)(tiny.new(), silent, None)
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_a_fine_tuning_that_goes_on_goes_straight(
    tiny: SimpleNamespace,
    pixels: Path,
    fine_tuned: Callable[[str], SimpleNamespace],
    weights_of: Callable[[Path], bytes],
) -> None:
    """Of a model whose embeddings are tied and whose dropout draws random numbers."""
    config = fine_tuned("blip").config.model_copy(update={"epochs": 2})
    straight, resumed, kept = tiny.new(), tiny.new(), tiny.new()
    expected = train_mle(pixels, tiny.records, config, straight, silent)
    with pytest.raises(Broken):
        train_mle(pixels, tiny.records, config, tiny.new(), breaking_at(3), kept)
    again = train_mle(pixels, tiny.records, config, resumed, silent, kept)
    assert again == expected
    assert weights_of(resumed) == weights_of(straight)
