"""The reward's encoder: what learns, what stays frozen, and what the held-out captions show."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from finecap.config import (
    AttributeNegativesConfig,
    ClipConfig,
    ClipRewardConfig,
    GrammarNegativesConfig,
)
from finecap.log import silent
from finecap.models.clip import load_encoder
from finecap.models.pretrained import load_pretrained
from finecap.negatives import attributes, grammar
from finecap.rewards import Ingredients, Reward, RewardBatch
from finecap.training.clip import train_clip
from finecap.training.clip_reward import finetune

TINY = ClipRewardConfig(
    hidden=32, grammar_steps=60, steps=60, batch_size=32, lr=3e-3, head_lr=1e-2, val_share=0.2
)


@pytest.fixture(scope="module")
def negatives(tiny: SimpleNamespace) -> SimpleNamespace:
    """Both tables of negatives of the tiny world."""
    return SimpleNamespace(
        grammar=grammar.build_table(tiny.records, GrammarNegativesConfig(max_captions=600)),
        attributes=attributes.build_table(tiny.records, AttributeNegativesConfig()),
    )


@pytest.fixture(scope="module")
def base(tiny: SimpleNamespace) -> Path:
    """An encoder that has hardly begun, so that what tuning adds stands out."""
    folder = tiny.new()
    train_clip(tiny.folder, tiny.records, tiny.clip_config, folder, silent)
    return folder


@pytest.fixture(scope="module")
def tune(
    tiny: SimpleNamespace, base: Path, negatives: SimpleNamespace
) -> Callable[..., tuple[Path, dict[str, float]]]:
    """Tune the tiny encoder; gives the folder and the metrics."""

    def run(
        *, pairs: bool = True, corruptions: pd.DataFrame | None = None, **changes: object
    ) -> tuple[Path, dict[str, float]]:
        config = TINY.model_copy(update=changes)
        table = negatives.attributes if pairs else None
        grammar_table = negatives.grammar if corruptions is None else corruptions
        arguments = (base, tiny.folder, tiny.records, grammar_table, table)
        destination = tiny.new()
        return destination, finetune(*arguments, config, destination, silent)

    return run


@pytest.fixture(scope="module")
def tuned(tune: Callable[..., tuple[Path, dict[str, float]]]) -> tuple[Path, dict[str, float]]:
    return tune()


def changed(before: Path, after: Path, prefix: str) -> set[str]:
    """Names of the tensors under `prefix` that differ."""
    old, new = (load_file(folder / "model.safetensors") for folder in (before, after))
    names = {name for name in old if name.startswith(prefix)}
    assert names
    return {name for name in names if not torch.equal(old[name], new[name])}


def test_the_image_tower_is_unchanged_bit_for_bit(
    base: Path, tuned: tuple[Path, dict[str, float]]
) -> None:
    assert not changed(base, tuned[0], "model.visual.")
    assert changed(base, tuned[0], "model.text.")


def test_attribute_loss_raises_attribute_accuracy(
    tune: Callable[..., tuple[Path, dict[str, float]]], tuned: tuple[Path, dict[str, float]]
) -> None:
    _, without = tune(attribute_weight=0.0)
    assert tuned[1]["attribute_accuracy"] > without["attribute_accuracy"] + 0.1


def test_the_grammar_head_tells_corrupted_from_correct_held_out_captions(
    tune: Callable[..., tuple[Path, dict[str, float]]],
) -> None:
    _, metrics = tune(pairs=False, steps=10)
    assert metrics["grammar_accuracy"] > 0.6
    assert "attribute_accuracy" not in metrics


def test_same_seed_same_weights(
    tune: Callable[..., tuple[Path, dict[str, float]]], weights_of: Callable[[Path], bytes]
) -> None:
    short = {"steps": 2, "grammar_steps": 2}
    first, again, other = (tune(**short, seed=seed)[0] for seed in (3, 3, 4))
    assert weights_of(first) == weights_of(again) != weights_of(other)


@pytest.mark.parametrize("tower", ["joint", "recurrent"])
def test_a_recurrent_tower_keeps_grammar_out_of_the_contrastive_one(
    tiny: SimpleNamespace, tower: str
) -> None:
    encoder = load_encoder(tiny.encoder)
    encoder.add_head(8, tower)
    encoder.grammar_logits(encoder.tokenize(["a boat", "boat a a"])).sum().backward()
    touched = {name.split(".")[0] for name, p in encoder.named_parameters() if p.grad is not None}
    assert touched == {"head", "model" if tower == "joint" else "grammar_tower"}


def test_a_tuned_encoder_comes_back_with_its_grammar_tower(
    tuned: tuple[Path, dict[str, float]],
) -> None:
    encoder = load_encoder(tuned[0])
    assert encoder.grammar_tower is not None
    scores = encoder.grammar_scores(["a red boat on the sea", "red the sea on boat boat"])
    assert 0 <= scores.min() < scores.max() <= 1


def test_a_part_without_images_is_refused_by_name(
    tiny: SimpleNamespace, negatives: SimpleNamespace, tmp_path: Path
) -> None:
    records = [r for r in tiny.records if r.part != "clip"]
    with pytest.raises(ValueError, match=r"no train images of part 'clip', which .* trained on"):
        finetune(
            tiny.encoder, tiny.folder, records, negatives.grammar, None, TINY, tmp_path, silent
        )


@pytest.mark.parametrize("tower", ["joint", "recurrent"])
@pytest.mark.parametrize("name", ["tiny-vit", "tiny-siglip", "tiny-coca", "tiny-roberta"])
def test_a_pretrained_encoder_becomes_a_reward(
    name: str,
    tower: str,
    tiny: SimpleNamespace,
    negatives: SimpleNamespace,
    open_clip_models: dict[str, SimpleNamespace],
) -> None:
    base, destination = tiny.new(), tiny.new()
    load_pretrained(ClipConfig.model_validate(open_clip_models[name].fields), silent).save(base)
    changes = {"grammar_tower": tower, "grammar_steps": 2, "steps": 2, "batch_size": 8}
    changes |= {"grammar_loss": "both"}
    config, tables = TINY.model_copy(update=changes), (negatives.grammar, negatives.attributes)
    metrics = finetune(base, tiny.folder, tiny.records, *tables, config, destination, silent)
    assert 0 <= metrics["attribute_accuracy"] <= 1
    assert 0 <= metrics["corruption_accuracy"] <= 1
    assert not changed(base, destination, "model.visual.")
    assert changed(base, destination, "model.text.")
    encoder = load_encoder(destination)
    assert encoder.head is not None
    assert encoder.head.layers[0].in_features == 16  # the text tower's width
    if encoder.grammar_tower is not None:
        assert encoder.grammar_tower.embedding.num_embeddings == len(encoder.tokenizer)
    vectors = encoder.encode_images([tiny.folder / tiny.records[0].image])
    reward = Reward({"clip_s": 1.0, "grammar": 1.0}, Ingredients(encoder))
    total, parts = reward(RewardBatch([["a red boat", "a boat"]], vectors, [["a boat"]]))
    assert total.shape == (1, 2)
    assert 0 <= parts["grammar"] <= 1


@pytest.fixture(scope="module")
def cut_off(tiny: SimpleNamespace) -> pd.DataFrame:
    """Captions that go on in half a phrase, which even a tiny tower can learn to tell."""
    captions = sorted({r.alt_text for r in tiny.records if r.split == "train"})
    negatives = [f"{caption} and a" for caption in captions]
    return pd.DataFrame({"caption": captions, "negative": negatives, "kind": "cut_off"})


def test_columns_alone_train_no_head_and_a_grammar_reward_is_refused(
    tune: Callable[..., tuple[Path, dict[str, float]]],
) -> None:
    folder, metrics = tune(pairs=False, grammar_loss="contrastive", steps=1)
    encoder = load_encoder(folder)
    assert encoder.head is encoder.grammar_tower is None
    assert {"grammar", "grammar_accuracy"}.isdisjoint(metrics)
    with pytest.raises(ValueError, match=r"asks for `grammar`, .*no grammar head; use one"):
        Reward({"grammar": 1.0}, Ingredients(encoder))


def test_columns_teach_images_to_prefer_their_caption_to_its_corruption(
    tune: Callable[..., tuple[Path, dict[str, float]]], cut_off: pd.DataFrame
) -> None:
    chosen = {"pairs": False, "corruptions": cut_off, "grammar_loss": "contrastive"}
    _, before = tune(**chosen, steps=1, lr=1e-9)
    _, after = tune(**chosen, steps=40)
    assert after["corruption_accuracy"] > max(0.8, before["corruption_accuracy"] + 0.1)


def test_both_losses_train_both(tune: Callable[..., tuple[Path, dict[str, float]]]) -> None:
    folder, metrics = tune(pairs=False, grammar_loss="both", steps=10)
    assert load_encoder(folder).head is not None
    assert metrics["grammar_accuracy"] > 0.6
    assert 0 < metrics["corruption_accuracy"] < 1


def test_a_head_of_the_base_is_not_taken_over(
    tiny: SimpleNamespace, negatives: SimpleNamespace, tuned: tuple[Path, dict[str, float]]
) -> None:
    config = TINY.model_copy(update={"grammar_loss": "contrastive", "steps": 1})
    arguments = (tuned[0], tiny.folder, tiny.records, negatives.grammar, None)
    destination = tiny.new()
    finetune(*arguments, config, destination, silent)
    assert load_encoder(destination).head is None


def test_a_threshold_counts_what_it_keeps_and_drops(
    tiny: SimpleNamespace, tune: Callable[..., tuple[Path, dict[str, float]]]
) -> None:
    _, metrics = tune(pairs=False, steps=1, positive_threshold=0.7)
    images = [r for r in tiny.records if r.split == "train" and r.part == "clip"]
    assert metrics["positives_kept"] + metrics["positives_dropped"] == len(images)
    assert metrics["images_dropped"] == metrics["positives_dropped"] > 0  # one alt_text each


def test_a_threshold_that_drops_nothing_changes_nothing(
    tune: Callable[..., tuple[Path, dict[str, float]]], weights_of: Callable[[Path], bytes]
) -> None:
    without, _ = tune(pairs=False, steps=2, grammar_steps=2)
    folder, metrics = tune(pairs=False, steps=2, grammar_steps=2, positive_threshold=0.0)
    assert weights_of(folder) == weights_of(without)
    assert metrics["positives_dropped"] == metrics["images_dropped"] == 0
