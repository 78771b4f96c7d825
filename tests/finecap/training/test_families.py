"""Every family of captioners learns by maximum likelihood and by its reward, and is then served."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import Tensor

from finecap.config import MleConfig, ScstConfig
from finecap.log import silent
from finecap.models.captioner import load_captioner
from finecap.models.export import export_pair, load_pair
from finecap.training.mle import train_mle
from finecap.training.processes import Processes
from finecap.training.scst import train_scst

SCST = ScstConfig(steps=8, val_every=4, batch_size=48, lr=3e-3, image_lr_scale=0.5, max_tokens=20)


def mle(tiny: SimpleNamespace, family: SimpleNamespace, **changes: object) -> SimpleNamespace:
    config = MleConfig.model_validate({**family.config.model_dump(), **changes})
    folder = tiny.new()
    metrics = train_mle(family.features, tiny.records, config, folder, silent, encoder=tiny.encoder)
    return SimpleNamespace(folder=folder, metrics=metrics)


def scst(tiny: SimpleNamespace, family: SimpleNamespace, start: Path, **changes: object):
    config = ScstConfig.model_validate({**SCST.model_dump(), **changes})
    folder, looks = tiny.new(), []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        assert step is None or step >= 0
        looks.extend([metrics["val_reward"]] if message == "val" else [])

    metrics = train_scst(start, family.features, tiny.records, tiny.encoder, config, folder, log)
    return SimpleNamespace(folder=folder, metrics=metrics, looks=looks)


@pytest.fixture(scope="module")
def learnt(tiny: SimpleNamespace, family: SimpleNamespace) -> SimpleNamespace:
    return mle(tiny, family, epochs=10)


@pytest.fixture(scope="module")
def tuned(
    tiny: SimpleNamespace, family: SimpleNamespace, learnt: SimpleNamespace
) -> SimpleNamespace:
    return scst(tiny, family, learnt.folder)


def weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a captioner by name, buffers included."""
    return dict(load_captioner(folder).state_dict())


def test_maximum_likelihood_lowers_the_loss(
    learnt: SimpleNamespace, family: SimpleNamespace
) -> None:
    chance = math.log(len(load_captioner(learnt.folder).tokenizer))
    losses = [learnt.metrics["loss"]]
    if family.config.bicaptioning:
        backward = learnt.metrics["backward_loss"]
        losses = [losses[0] - backward, backward]
    assert max(losses) < chance - 1


def test_self_critical_training_raises_its_reward(tuned: SimpleNamespace) -> None:
    assert tuned.metrics["val_reward"] > tuned.looks[0] + 0.03
    assert tuned.metrics["val_step"] > 0


def test_a_tuned_captioner_is_served_from_image_files(
    tiny: SimpleNamespace, tuned: SimpleNamespace
) -> None:
    pair = tiny.new() / "pair"
    export_pair(tuned.folder, tiny.encoder, pair)
    paths = [tiny.folder / r.image for r in tiny.records if r.split == "test"][:3]
    captions = load_pair(pair).caption_images(paths, 20)
    assert len(captions) == 3
    assert all(captions)


def test_each_stage_changes_what_is_to_learn_in_it(
    family: SimpleNamespace, learnt: SimpleNamespace, tuned: SimpleNamespace
) -> None:
    before, after = weights(learnt.folder), weights(tuned.folder)
    changed = {name for name in before if not before[name].equal(after[name])}
    tower = {name for name in before if name.startswith("image_encoder.")}
    statistics = {name for name in tower if "running_" in name or "num_batches" in name}
    assert not changed & statistics
    assert not {name for name in changed if "backward_" in name}
    assert bool(changed & tower) == (bool(tower) and family.config.image_trainable)
    assert changed - tower


@pytest.mark.parametrize("family", ["lstm", "resnet_from_scratch", "vit"], indirect=True)
def test_a_batch_in_parts_takes_the_step_of_the_whole(
    tiny: SimpleNamespace, family: SimpleNamespace, learnt: SimpleNamespace
) -> None:
    whole, parts = (
        scst(tiny, family, learnt.folder, steps=1, accumulate=n, kl_weight=0.1).metrics
        for n in (1, 3)
    )
    for name in ("loss", "kl", "grad_norm", "reward"):
        assert parts[name] == pytest.approx(whole[name], rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("family", ["lstm", "resnet_from_scratch"], indirect=True)
def test_a_run_that_was_ended_goes_on_as_if_it_was_not(
    tiny: SimpleNamespace, family: SimpleNamespace, tmp_path: Path
) -> None:
    def end(message: str, step: int | None = None, **metrics: float) -> None:
        if step == 6:  # the second epoch's end, not yet saved
            raise KeyboardInterrupt(message, metrics)

    config = family.config.model_copy(update={"epochs": 3})
    given = (family.features, tiny.records, config)
    straight = train_mle(*given, tiny.new(), silent)
    with pytest.raises(KeyboardInterrupt):
        train_mle(*given, tiny.new(), end, tmp_path)
    assert train_mle(*given, tiny.new(), silent, tmp_path) == straight


def test_statistics_that_learn_are_those_of_all_processes(
    tiny: SimpleNamespace, family: SimpleNamespace
) -> None:
    averaged: list[int] = []

    class Recorded(Processes):
        def average(self, tensors: Sequence[Tensor]) -> None:
            averaged.append(len(tensors))

    config = family.config.model_copy(update={"epochs": 1})
    given = (family.features, tiny.records, config, tiny.new(), silent, None, Recorded())
    train_mle(*given, tiny.encoder)
    learns = family.name == "resnet_from_scratch"
    assert len(averaged) == 3  # steps
    assert all((count > 0) == learns for count in averaged)


@pytest.mark.parametrize("family", ["lstm", "vit"], indirect=True)
def test_maximum_likelihood_runs_in_half_precision(
    tiny: SimpleNamespace, family: SimpleNamespace
) -> None:
    exact, half = (mle(tiny, family, epochs=1, bf16=bf16).metrics["loss"] for bf16 in (False, True))
    assert half == pytest.approx(exact, rel=0.02)


def test_learning_images_need_pixels_of_their_size(tiny: SimpleNamespace) -> None:
    config = tiny.mle_config.model_copy(update={"image_encoder": "clip"})
    family = SimpleNamespace(config=config, features=tiny.features_with(64))
    with pytest.raises(ValueError, match="reads images of 32 px, the features hold pixels of 64"):
        mle(tiny, family, epochs=1)
