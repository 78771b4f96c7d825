"""Self-critical training on a real, tiny world: it learns, it keeps the best, it repeats."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.utils import counters

from finecap.config import ScstConfig
from finecap.data.tokenizer import EOS, PAD
from finecap.models.captioner import load_captioner
from finecap.models.captions import greedy_captions
from finecap.models.clip import load_encoder
from finecap.models.features import open_features
from finecap.rewards import Ingredients, Reward, RewardBatch, images_of
from finecap.training import scst
from finecap.training.scst import train_scst, weights_at

TINY = ScstConfig(steps=12, val_every=3, batch_size=48, lr=2e-3, max_tokens=20)


class Run:
    """One run: its folder, its metrics, and what it logged."""

    def __init__(self, tiny: SimpleNamespace, destination: Path, **changes: object) -> None:
        self.val: list[dict[str, float]] = []
        self.steps: list[dict[str, float]] = []
        self.folder = destination
        config = ScstConfig.model_validate({**TINY.model_dump(), **changes})
        arguments = (tiny.mle, tiny.features, tiny.records, tiny.encoder, config, destination)
        self.metrics = train_scst(*arguments, self.log)

    def log(self, message: str, step: int | None = None, **metrics: float) -> None:
        (self.val if message == "val" else self.steps).append({"step": step or 0, **metrics})


def val_reward(tiny: SimpleNamespace, folder: Path, weights: dict[str, float]) -> float:
    """Mean reward of a saved captioner's greedy captions of val."""
    features = open_features(tiny.features)
    val = [r for r in tiny.records if r.split == "val"]
    train = [r for r in tiny.records if r.part == "captioner"]
    images = [r.image for r in val]
    captions = greedy_captions(load_captioner(folder), features, images, TINY.max_tokens)
    at = features.positions(images)
    shown = images_of(train, features), images_of(val, features)
    reward = Reward(weights, Ingredients(load_encoder(tiny.encoder), TINY, features, *shown))
    references = [r.captions for r in val]
    batch = RewardBatch([[c] for c in captions], features.vectors_of(at), references, at)
    return float(reward(batch)[0].mean())


@pytest.mark.parametrize("baseline", ["greedy", "leave_one_out"])
def test_training_raises_its_own_reward(
    tiny: SimpleNamespace, tmp_path: Path, baseline: str
) -> None:
    run = Run(tiny, tmp_path, baseline=baseline)
    start, end = run.val[0]["val_reward"], run.metrics["val_reward"]
    assert end > start + 0.05
    untrained = Run(tiny, tiny.new(), baseline=baseline, steps=1)
    assert run.metrics["reward"] > untrained.metrics["reward"] + 0.05
    assert val_reward(tiny, tmp_path, TINY.weights) == pytest.approx(end, abs=1e-5)
    assert val_reward(tiny, tiny.mle, TINY.weights) == pytest.approx(start, abs=1e-5)


def test_a_collapsing_run_saves_nothing_worse_than_its_start(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    weights = {"cider": 1.0}
    run = Run(tiny, tmp_path, weights=weights, lr=0.3, warmup_steps=0)
    start = val_reward(tiny, tiny.mle, weights)
    assert run.val[-1]["val_reward"] < 0.5 * start
    assert run.metrics["val_reward"] >= start - 1e-6
    assert val_reward(tiny, tmp_path, weights) == pytest.approx(run.metrics["val_reward"], abs=1e-5)


def test_val_is_looked_at_before_during_and_after(tiny: SimpleNamespace, tmp_path: Path) -> None:
    run = Run(tiny, tmp_path, steps=5, val_every=2)
    assert [line["step"] for line in run.val] == [0, 2, 4, 5]
    best = max(run.val, key=lambda line: line["val_reward"])
    assert run.metrics["val_step"] == best["step"]


def test_a_checkpoint_that_repeats_too_much_is_not_chosen(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    """Rewarded for the grid's favourite words at a wild learning rate, captions stutter."""
    free = Run(tiny, tiny.new(), lr=2e-2)
    assert free.metrics["val_step"] > 0
    chosen = next(v for v in free.val if v["step"] == free.metrics["val_step"])
    assert chosen["val_repetition"] > 0.5
    guarded = Run(tiny, tmp_path, lr=2e-2, max_repetition=0.5)
    kept = next(v for v in guarded.val if v["step"] == guarded.metrics["val_step"])
    assert kept["val_repetition"] <= 0.5


def test_a_run_past_its_best_ends_after_its_patience(tiny: SimpleNamespace, tmp_path: Path) -> None:
    """The collapse of a wild learning rate is seen on val, and waits for no last step."""
    run = Run(
        tiny, tmp_path, weights={"cider": 1.0}, lr=0.3, warmup_steps=0, val_every=1, patience=3
    )
    assert run.val[-1]["step"] == run.metrics["val_step"] + 3 < TINY.steps
    assert run.metrics["val_reward"] == max(v["val_reward"] for v in run.val)


def test_what_hacking_shows_in_is_logged_at_each_look(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    """Captions stutter at a wild learning rate: they repeat, and fewer pairs of words differ."""
    run = Run(tiny, tmp_path, lr=2e-2)
    first, last = run.val[0], run.val[-1]
    assert last["val_repetition"] > first["val_repetition"] + 0.3
    assert last["val_distinct_2"] < first["val_distinct_2"]
    for name in ("val_bad_endings", "val_length", "val_vocabulary"):
        assert all(name in line for line in run.val)


def test_a_checkpoint_that_breaks_off_too_often_is_not_chosen(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    free = Run(tiny, tiny.new(), lr=2e-2)
    chosen = next(v for v in free.val if v["step"] == free.metrics["val_step"])
    assert chosen["val_bad_endings"] > 0
    bound = chosen["val_bad_endings"] - 0.01
    guarded = Run(tiny, tmp_path, lr=2e-2, max_bad_endings=bound)
    kept = next(v for v in guarded.val if v["step"] == guarded.metrics["val_step"])
    assert kept["val_bad_endings"] <= bound or kept["step"] == 0


def test_same_seed_same_weights(tiny: SimpleNamespace, weights_of: Callable[[Path], bytes]) -> None:
    first, again, other = (Run(tiny, tiny.new(), seed=seed, steps=3) for seed in (0, 0, 1))
    assert first.metrics["val_step"] > 0
    assert weights_of(first.folder) == weights_of(again.folder)
    assert first.val != other.val


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: g++")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_compiled_drawing_trains_as_drawing_does_and_is_compiled_once(
    tiny: SimpleNamespace,
) -> None:
    """By the code of the compiler that users have, not by a traced graph alone."""
    counters.clear()
    plain, compiled = (
        Run(tiny, tiny.new(), steps=3, baseline="greedy", compile_decoding=on)
        for on in (False, True)
    )
    for name in ("loss", "reward", "tokens", "grad_norm"):
        assert compiled.metrics[name] == pytest.approx(plain.metrics[name], rel=1e-3, abs=1e-3)
    assert counters["stats"]["unique_graphs"] == 1


def test_kl_is_positive_and_logged_where_it_is_weighed(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    run = Run(tiny, tmp_path, kl_weight=0.1)
    assert run.metrics["kl"] > 0
    assert all("kl" in line for line in run.steps)


def test_scoring_in_parts_of_like_length_changes_nothing(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for part in (1, 2, 5):
        monkeypatch.setattr(scst, "_PART", part)
        found.append(Run(tiny, tiny.new(), steps=1, samples_per_image=5, kl_weight=0.5).metrics)
    for name in ("loss", "kl", "grad_norm"):
        assert found[0][name] == pytest.approx(found[2][name], rel=1e-4)
        assert found[1][name] == pytest.approx(found[2][name], rel=1e-4)


def test_the_shortest_sample_of_each_image_comes_first() -> None:
    sampled = torch.tensor([[[5, 6, 7], [5, EOS, PAD]], [[EOS, PAD, PAD], [5, 6, EOS]]])
    advantage = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    ordered, along = scst.shortest_first(sampled, advantage, EOS)
    assert ordered.tolist() == [[[5, EOS, PAD], [5, 6, 7]], [[EOS, PAD, PAD], [5, 6, EOS]]]
    assert along.tolist() == [[2.0, 1.0], [3.0, 4.0]]


def test_without_weight_no_kl_is_computed(tiny: SimpleNamespace, tmp_path: Path) -> None:
    assert "kl" not in Run(tiny, tmp_path, steps=1).metrics


def test_a_heavier_kl_keeps_the_policy_nearer(tiny: SimpleNamespace) -> None:
    light, heavy = (Run(tiny, tiny.new(), kl_weight=w).metrics["kl"] for w in (0.01, 10.0))
    assert heavy < light


def test_reward_terms_are_logged_by_name(tiny: SimpleNamespace, tmp_path: Path) -> None:
    metrics = Run(tiny, tmp_path, steps=1, weights={"clip_s": 1.0, "cider": 2.0}).metrics
    assert metrics["reward"] == pytest.approx(metrics["clip_s"] + 2 * metrics["cider"], abs=1e-5)


def test_the_end_counts_as_a_word_where_it_is_asked_for(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    settings = {"steps": 1, "weights": {"cider": 1.0}}
    plain = Run(tiny, tmp_path / "plain", **settings)
    ended = Run(tiny, tmp_path / "ended", **settings, cider_counts_eos=True)
    assert plain.val[0]["val_reward"] != pytest.approx(ended.val[0]["val_reward"])


def test_terms_of_every_kind_train_together(tiny: SimpleNamespace, tmp_path: Path) -> None:
    """Vectors, references, the corpus, the words alone, neighbours; on val as on train."""
    weights = {
        "clip_s": 1.0, "ref_clip_s": 0.5, "ref_clip_s_scaled": 0.5, "cider": 0.5, "length": 0.2,
        "repetition": 1.0, "lm": 0.3, "self_retrieval": 1.0,
    }  # fmt: skip
    run = Run(tiny, tmp_path, weights=weights)
    total = sum(weight * run.metrics[name] for name, weight in weights.items())
    assert run.metrics["reward"] == pytest.approx(total, abs=1e-4)
    start, end = run.val[0]["val_reward"], run.metrics["val_reward"]
    assert end > start + 0.05
    assert val_reward(tiny, tmp_path, weights) == pytest.approx(end, abs=1e-5)


def test_self_retrieval_alone_is_raised_by_training(tiny: SimpleNamespace, tmp_path: Path) -> None:
    run = Run(tiny, tmp_path, weights={"self_retrieval": 1.0})
    assert run.metrics["val_reward"] > run.val[0]["val_reward"] + 0.005


def test_a_term_without_its_ingredient_stops_the_run_before_it_starts(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="`grammar`, but its encoder has no grammar head"):
        Run(tiny, tmp_path, weights={"grammar": 1.0})


def test_a_small_last_batch_is_never_drawn(tiny: SimpleNamespace, tmp_path: Path) -> None:
    """48 images in batches of 32: the 16 left over wait for the next order."""
    assert len(Run(tiny, tmp_path, batch_size=1_000, steps=2).val) == 2


def test_data_without_val_is_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    without = SimpleNamespace(**vars(tiny))
    without.records = [r for r in tiny.records if r.split == "train"]
    with pytest.raises(ValueError, match="48 train images with features and 0 val images"):
        Run(without, tmp_path)


def test_a_weight_grows_quadratically_from_its_start_to_its_own() -> None:
    config = TINY.model_copy(
        update={
            "steps": 5,
            "weights": {"clip_s": 1.0, "grammar": 1.5},
            "start_weights": {"grammar": 0.5},
        }
    )
    grown = [weights_at(step, config)["grammar"] for step in range(5)]
    assert grown == pytest.approx([0.5, 0.5625, 0.75, 1.0625, 1.5])
    assert all(weights_at(step, config)["clip_s"] == 1.0 for step in range(5))


def test_a_start_weight_of_a_term_without_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="has grammar, which `weights` lacks \\(clip_s\\)"):
        ScstConfig(weights={"clip_s": 1.0}, start_weights={"grammar": 0.5})


@pytest.mark.parametrize("kind", ["bert", "bart", "trocr", "git", "blip"])
def test_a_model_of_transformers_is_tuned_by_the_same_reward(
    tiny: SimpleNamespace,
    pixels: Path,
    fine_tuned: Callable[[str], SimpleNamespace],
    tmp_path: Path,
    kind: str,
) -> None:
    world = SimpleNamespace(**vars(tiny))
    world.mle, world.features = fine_tuned(kind).folder, pixels
    run = Run(world, tmp_path, steps=16, val_every=4, lr=1e-3, kl_weight=0.01)
    assert run.metrics["val_reward"] > run.val[0]["val_reward"] + 0.05
    assert run.metrics["reward"] > run.steps[0]["reward"]
    assert run.metrics["kl"] > 0
    kept = val_reward(world, tmp_path, TINY.weights)
    assert kept == pytest.approx(run.metrics["val_reward"], abs=1e-5)
