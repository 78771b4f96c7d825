"""The encoder that learns from what it rewards: its text tower alone, and upwards."""

from types import SimpleNamespace

import pytest
import torch

from finecap.config import ScstConfig
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.rewards import RewardBatch
from finecap.training.encoder_from_reward import EncoderFromReward
from finecap.training.scst import train_scst

WEIGHTS = {"clip_s": 1.0, "grammar": 0.5}


@pytest.fixture
def encoder(tiny: SimpleNamespace) -> ClipEncoder:
    torch.manual_seed(0)
    encoder = load_encoder(tiny.encoder)
    encoder.add_head(8, "joint")
    return encoder.eval()


@pytest.fixture
def batch(encoder: ClipEncoder) -> RewardBatch:
    vectors = torch.nn.functional.normalize(encoder.encode_texts(["a red boat", "a cat"]), dim=-1)
    return RewardBatch([["a red boat", "a boat"], ["a cat", "a black cat"]], vectors, [["a"]] * 2)


def test_a_step_raises_the_reward_of_the_captions(encoder: ClipEncoder, batch: RewardBatch) -> None:
    climbing = EncoderFromReward(encoder, WEIGHTS)
    optimizer = torch.optim.SGD(climbing.tower.parameters(), lr=1e-4)
    before = climbing.loss(batch, WEIGHTS)
    before.backward()
    optimizer.step()
    assert climbing.loss(batch, WEIGHTS) < before


def test_the_loss_is_minus_the_weighted_mean_of_the_terms(
    encoder: ClipEncoder, batch: RewardBatch
) -> None:
    texts = [caption for image in batch.captions for caption in image]
    images = batch.vectors.repeat_interleave(2, 0)
    cosines = (images * encoder.encode_texts(texts)).sum(-1).clamp(min=0)
    expected = -(2.5 * cosines.mean() + 0.5 * encoder.grammar_scores(texts).mean())
    found = EncoderFromReward(encoder, WEIGHTS).loss(batch, WEIGHTS)
    torch.testing.assert_close(found, expected)


def test_the_text_tower_alone_learns(encoder: ClipEncoder, batch: RewardBatch) -> None:
    EncoderFromReward(encoder, WEIGHTS).loss(batch, WEIGHTS).backward()
    learning = {n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning
    assert all(name.startswith("model.text.") for name in learning)


@pytest.mark.parametrize("weights", [{"cider": 1.0}, {"clip_s": 1.0, "self_retrieval": 1.0}])
def test_terms_that_cannot_follow_a_moving_encoder_are_refused(
    encoder: ClipEncoder, weights: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="`encoder_from_reward` moves the encoder"):
        EncoderFromReward(encoder, weights)


def test_a_run_moves_the_encoder_and_judges_by_the_one_it_began_with(
    tiny: SimpleNamespace,
) -> None:
    seen: dict[str, list[dict[str, float]]] = {"val": [], "steps": []}

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        if step is not None:
            seen["val" if message == "val" else "steps"].append(metrics)

    def run(share: float) -> None:
        config = ScstConfig(
            steps=5, val_every=5, batch_size=16, lr=1e-3, max_tokens=20, encoder_from_reward=share
        )
        arguments = (tiny.mle, tiny.features, tiny.records, tiny.encoder, config)
        train_scst(*arguments, tiny.new(), log)

    run(0.0)
    (still,) = seen["steps"]
    first_look = seen["val"][0]["val_reward"]
    assert "encoder_reward" not in still
    run(5.0)
    moved = seen["steps"][-1]
    assert moved["encoder_reward"] > still["reward"]
    assert seen["val"][2]["val_reward"] == pytest.approx(first_look)
