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
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.pretrained import load_pretrained
from finecap.negatives import attributes, grammar
from finecap.rewards import Reward, RewardBatch
from finecap.training.clip import train_clip
from finecap.training.clip_reward import (
    _split,  # pyright: ignore[reportPrivateUsage]
    finetune,
    grammar_accuracy,
)

TINY = ClipRewardConfig(hidden=32, steps=60, batch_size=32, lr=3e-3, head_lr=1e-2, val_share=0.2)


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

    def run(*, pairs: bool = True, **changes: object) -> tuple[Path, dict[str, float]]:
        config = TINY.model_copy(update=changes)
        table = negatives.attributes if pairs else None
        arguments = (base, tiny.folder, tiny.records, negatives.grammar, table)
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
    _, metrics = tune(pairs=False, steps=100)
    assert metrics["grammar_accuracy"] > 0.6
    assert "attribute_accuracy" not in metrics


def test_same_seed_same_weights(
    tune: Callable[..., tuple[Path, dict[str, float]]], weights_of: Callable[[Path], bytes]
) -> None:
    first, again, other = (tune(steps=2, seed=seed)[0] for seed in (3, 3, 4))
    assert weights_of(first) == weights_of(again) != weights_of(other)


def test_no_caption_is_on_both_sides_of_the_split(negatives: SimpleNamespace) -> None:
    learnt, held = _split(negatives.grammar, TINY)
    assert not set(learnt["caption"]) & set(held["caption"])
    assert len(learnt) + len(held) == len(negatives.grammar)
    assert 0.1 < len(held) / len(negatives.grammar) < 0.3


@pytest.mark.parametrize(("share", "held"), [(1e-9, 0), (1 - 1e-9, 8)])
def test_a_split_with_an_empty_side_is_refused(share: float, held: int) -> None:
    table = pd.DataFrame({"caption": list("abcdefgh")})
    with pytest.raises(ValueError, match=f"{held} of 8 negatives held out at `val_share`"):
        _split(table, TINY.model_copy(update={"val_share": share}))


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


def test_accuracy_of_a_head_that_accepts_everything_is_one_half(tiny: SimpleNamespace) -> None:
    encoder: ClipEncoder = load_encoder(tiny.encoder)
    encoder.add_head(8, "joint")
    assert encoder.head is not None
    with torch.no_grad():
        encoder.head.layers[-1].weight.zero_()  # type: ignore[union-attr, operator]
        encoder.head.layers[-1].bias.fill_(5.0)  # type: ignore[union-attr, operator]
    table = pd.DataFrame({"caption": ["a boat"], "negative": ["boat a"], "kind": ["swap"]})
    assert grammar_accuracy(encoder, table) == {
        "grammar_accuracy": 0.5,
        "grammar_accuracy_correct": 1.0,
        "grammar_accuracy_swap": 0.0,
    }


def test_a_part_without_images_is_refused_by_name(
    tiny: SimpleNamespace, negatives: SimpleNamespace, tmp_path: Path
) -> None:
    records = [r for r in tiny.records if r.part != "clip"]
    with pytest.raises(ValueError, match=r"no train images of part 'clip', which .* trained on"):
        finetune(
            tiny.encoder, tiny.folder, records, negatives.grammar, None, TINY, tmp_path, silent
        )


@pytest.mark.parametrize("tower", ["joint", "recurrent"])
@pytest.mark.parametrize("name", ["tiny-vit", "tiny-siglip"])
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
    config, tables = TINY.model_copy(update=changes), (negatives.grammar, negatives.attributes)
    metrics = finetune(base, tiny.folder, tiny.records, *tables, config, destination, silent)
    assert 0 <= metrics["attribute_accuracy"] <= 1
    assert not changed(base, destination, "model.visual.")
    assert changed(base, destination, "model.text.")
    encoder = load_encoder(destination)
    assert encoder.head is not None
    assert encoder.head.layers[0].in_features == 16  # the text tower's width
    if encoder.grammar_tower is not None:
        assert encoder.grammar_tower.embedding.num_embeddings == len(encoder.tokenizer)
    vectors = encoder.encode_images([tiny.folder / tiny.records[0].image])
    reward = Reward({"clip_s": 1.0, "grammar": 1.0}, encoder)
    total, parts = reward(RewardBatch([["a red boat", "a boat"]], vectors, [["a boat"]]))
    assert total.shape == (1, 2)
    assert 0 <= parts["grammar"] <= 1
