"""Maximum likelihood: the loss by hand, determinism, the epoch that is kept, refusals."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from finecap.config import MleConfig
from finecap.data.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer
from finecap.log import silent
from finecap.metrics.cider import CiderD
from finecap.models.captioner import load_captioner
from finecap.models.features import open_features
from finecap.training.mle import (
    cross_entropy,
    reversed_captions,
    targets_that_count,
    train_and_val,
    train_mle,
    val_cider,
)


def train(tiny: SimpleNamespace, destination: Path, **changes: object) -> dict[str, float]:
    config = MleConfig.model_validate({**tiny.mle_config.model_dump(), **changes})
    return train_mle(tiny.features, tiny.records, config, destination, silent)


def test_same_seed_same_weights(tiny: SimpleNamespace, weights_of: Callable[[Path], bytes]) -> None:
    first, again, other = tiny.new(), tiny.new(), tiny.new()
    for folder, seed in ((first, 0), (again, 0), (other, 1)):
        train(tiny, folder, seed=seed, epochs=2)
    assert weights_of(first) == weights_of(again) != weights_of(other)


def test_captions_are_learnt(tiny: SimpleNamespace) -> None:
    chance = math.log(len(load_captioner(tiny.mle).tokenizer))
    assert tiny.mle_metrics["loss"] < chance - 1
    assert tiny.mle_metrics["val_cider"] > 0.1


def test_the_captioner_kept_is_the_best_epochs(tiny: SimpleNamespace, tmp_path: Path) -> None:
    seen: list[float] = []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        assert message
        seen.extend([metrics["val_cider"]] if step and "val_cider" in metrics else [])

    config = tiny.mle_config.model_copy(update={"epochs": 6, "lr": 2e-2})
    best = train_mle(tiny.features, tiny.records, config, tmp_path, log)["val_cider"]
    assert len(seen) == 6
    assert best == max(seen)
    features = open_features(tiny.features)
    train_records, val = train_and_val(tiny.records, features)
    frequencies = CiderD([r.captions for r in train_records])
    kept = load_captioner(tmp_path)
    assert val_cider(kept, features, val, frequencies, 32) == pytest.approx(best)


def test_long_texts_can_be_learnt_from(tiny: SimpleNamespace, tmp_path: Path) -> None:
    train(tiny, tmp_path, text="alt_text", epochs=1)
    assert len(load_captioner(tmp_path).tokenizer) > len(load_captioner(tiny.mle).tokenizer)


def test_padding_and_unknown_words_do_not_count() -> None:
    logits, targets = torch.randn(1, 5, 8), torch.tensor([[5, UNK, 6, EOS, PAD]])
    counts = targets_that_count(targets, WordTokenizer(["a", "red", "boat", "sea"]))
    assert counts.tolist() == [[True, False, True, True, False]]
    loss = cross_entropy(logits, targets, counts)
    log_probs = logits[0].log_softmax(-1)
    torch.testing.assert_close(loss, -(log_probs[0, 5] + log_probs[2, 6] + log_probs[3, EOS]) / 3)


def test_captions_are_reversed_between_bos_and_eos() -> None:
    ids = torch.tensor([
        [[BOS, 5, 6, 7, EOS, PAD], [BOS, 5, EOS, PAD, PAD, PAD]],
        [[BOS, EOS, PAD, PAD, PAD, PAD], [BOS, 4, 5, 6, 7, EOS]],
        [[BOS, 4, 5, 6, 7, 8], [BOS, UNK, 5, EOS, PAD, PAD]],
    ])  # fmt: skip
    assert reversed_captions(ids, EOS).tolist() == [
        [[BOS, 7, 6, 5, EOS, PAD], [BOS, 5, EOS, PAD, PAD, PAD]],
        [[BOS, EOS, PAD, PAD, PAD, PAD], [BOS, 7, 6, 5, 4, EOS]],
        [[BOS, 8, 7, 6, 5, 4], [BOS, 5, UNK, EOS, PAD, PAD]],
    ]


def test_a_vocabulary_whose_specials_are_one_token_is_reversed_too() -> None:
    """GPT-2's: BOS, EOS and PAD are all id 9."""
    ids = torch.tensor([[9, 5, 6, 9, 9], [9, 5, 6, 7, 9]])
    assert reversed_captions(ids, 9).tolist() == [[9, 6, 5, 9, 9], [9, 7, 6, 5, 9]]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_model_that_knows_nothing_loses_the_log_of_its_choices(smoothing: float) -> None:
    logits = torch.zeros(1, 2, 8)
    logits[..., [PAD, BOS, UNK]] = float("-inf")  # 5 tokens may be chosen
    targets = torch.tensor([[5, 6]])
    loss = cross_entropy(logits, targets, torch.ones_like(targets, dtype=torch.bool), smoothing)
    assert loss.item() == pytest.approx(math.log(5))


def test_label_smoothing_punishes_certainty() -> None:
    logits, targets = torch.zeros(1, 1, 8), torch.tensor([[5]])
    logits[..., 5] = 20.0
    counts = torch.ones_like(targets, dtype=torch.bool)
    assert cross_entropy(logits, targets, counts, 0.1) > cross_entropy(logits, targets, counts) + 1


def test_train_images_without_features_are_left_out(tiny: SimpleNamespace) -> None:
    train_records, val = train_and_val(tiny.records, open_features(tiny.features))
    assert {r.part for r in train_records} == {"captioner"}
    assert {r.split for r in val} == {"val"}


@pytest.mark.parametrize(("left", "counts"), [("train", "48 .* 0 val"), ("val", "0 .* 24 val")])
def test_an_empty_split_is_refused(
    tiny: SimpleNamespace, tmp_path: Path, left: str, counts: str
) -> None:
    records = [r for r in tiny.records if r.split == left]
    with pytest.raises(ValueError, match=f"{counts} images, expected some of both"):
        train_mle(tiny.features, records, tiny.mle_config, tmp_path, silent)


@pytest.mark.parametrize("kind", ["bert", "bart", "trocr", "git", "blip"])
def test_a_pretrained_model_is_fine_tuned(
    fine_tuned: Callable[[str], SimpleNamespace], kind: str
) -> None:
    run = fine_tuned(kind)
    looks = [line["val_cider"] for line in run.log if "val_cider" in line]
    assert len(looks) == 9  # before the first epoch, and after each of eight
    assert run.metrics["loss"] < math.log(len(load_captioner(run.folder).tokenizer)) - 0.5
    assert run.metrics["val_cider"] == max(looks) > looks[0]


def test_a_pretrained_model_may_be_taken_as_it_is(
    tiny: SimpleNamespace,
    pixels: Path,
    fine_tuned: Callable[[str], SimpleNamespace],
    tmp_path: Path,
    weights_of: Callable[[Path], bytes],
) -> None:
    run = fine_tuned("git")
    config = run.config.model_copy(update={"pretrained": str(run.folder), "epochs": 0})
    metrics = train_mle(pixels, tiny.records, config, tmp_path, silent)
    assert metrics == {"val_cider": pytest.approx(run.metrics["val_cider"])}
    assert weights_of(tmp_path) == weights_of(run.folder)


def test_a_pretrained_model_that_training_makes_worse_is_kept_as_it_was(
    tiny: SimpleNamespace,
    pixels: Path,
    fine_tuned: Callable[[str], SimpleNamespace],
    tmp_path: Path,
    weights_of: Callable[[Path], bytes],
) -> None:
    run = fine_tuned("git")
    changes = {"pretrained": str(run.folder), "epochs": 1, "lr": 1.0}
    config = run.config.model_copy(update=changes)
    metrics = train_mle(pixels, tiny.records, config, tmp_path, silent)
    assert metrics["val_cider"] == pytest.approx(run.metrics["val_cider"])
    assert weights_of(tmp_path) == weights_of(run.folder)


def test_features_without_pixels_say_which_setting_keeps_them(
    tiny: SimpleNamespace, fine_tuned: Callable[[str], SimpleNamespace], tmp_path: Path
) -> None:
    config = fine_tuned("git").config
    with pytest.raises(ValueError, match=r"set `features.pixel_size: 16` and extract them again"):
        train_mle(tiny.features, tiny.records, config, tmp_path, silent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "huggingface"}, "family is 'huggingface', pretrained None: expected"),
        ({"pretrained": "x"}, "family is 'transformer', pretrained 'x': expected"),
        ({"epochs": 0}, "without a `pretrained` model it must be greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MleConfig.model_validate(changes)
