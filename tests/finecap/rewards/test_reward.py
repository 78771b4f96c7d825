"""A reward is the weighted sum of its terms, each checked, none with a gradient."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from finecap.config import ScstConfig
from finecap.models.clip import ClipEncoder
from finecap.rewards import (
    BUILT_IN,
    EncodedBatch,
    Images,
    Ingredients,
    Reward,
    RewardBatch,
    registry,
)


def reward_of(term: object, monkeypatch: pytest.MonkeyPatch) -> Reward:
    """A reward whose one term is `term`."""
    monkeypatch.setitem(registry.BUILT_IN, "own", lambda _: term)
    return Reward({"own": 1.0}, Ingredients())


def test_terms_add_up_by_weight(encoder: ClipEncoder, batch: RewardBatch, train: Images) -> None:
    ingredients = Ingredients(encoder, train=train)
    parts = [Reward({n: 1.0}, ingredients)(batch)[0] for n in ("clip_s", "grammar", "cider")]
    both, means = Reward({"clip_s": 2.0, "grammar": 0.5, "cider": 3.0}, ingredients)(batch)
    torch.testing.assert_close(both, 2 * parts[0] + 0.5 * parts[1] + 3 * parts[2])
    assert means["grammar"] == pytest.approx(parts[1].mean().item())


def test_weights_of_the_moment_stand_in_for_its_own(
    encoder: ClipEncoder, batch: RewardBatch
) -> None:
    reward = Reward({"clip_s": 1.0, "grammar": 2.0}, Ingredients(encoder))
    expected, _ = Reward({"clip_s": 3.0, "grammar": 0.5}, Ingredients(encoder))(batch)
    torch.testing.assert_close(reward(batch, {"clip_s": 3.0, "grammar": 0.5})[0], expected)


def test_a_caption_that_occurs_twice_is_encoded_once_for_all_terms(
    encoder: ClipEncoder, batch: RewardBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    real = encoder.encode_texts

    def counting(texts: Sequence[str]) -> Tensor:
        encoded.extend(texts)
        return real(texts)

    reward = Reward({"clip_s": 1.0, "ref_clip_s": 1.0}, Ingredients(encoder))
    reward(batch)  # the references are known from here on
    monkeypatch.setattr(encoder, "encode_texts", counting)
    reward(batch)
    assert sorted(encoded) == ["a cat", "a cat at night", "a red boat", "boat"]


def test_no_term_leads_back_to_the_encoder(
    encoder: ClipEncoder, batch: RewardBatch, train: Images
) -> None:
    weights = dict.fromkeys(set(BUILT_IN) - {"self_retrieval", "itm"}, 1.0)
    total, _ = Reward(weights, Ingredients(encoder, train=train))(batch)
    assert total.shape == (2, 3)
    assert not total.requires_grad


def test_scores_of_another_shape_are_refused_by_name(
    batch: RewardBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(batch: EncodedBatch) -> Tensor:
        return torch.zeros(batch.B * batch.K)

    with pytest.raises(ValueError, match=r"`own` gave \(6,\), expected .* \(2, 3\)"):
        reward_of(flat, monkeypatch)(batch)


def test_a_score_that_is_no_number_is_refused_with_its_caption(
    batch: RewardBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(batch: EncodedBatch) -> Tensor:
        return batch.each(lambda texts: torch.tensor([len(t) - 4.0 for t in texts]).log())

    with pytest.raises(ValueError, match="`own` gave -inf for 'boat'"):
        reward_of(broken, monkeypatch)(batch)


def test_a_reward_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one in `weights`"):
        Reward({}, Ingredients())


def test_every_built_in_term_is_named_where_weights_are_set() -> None:
    said = ScstConfig.model_fields["weights"].description or ""
    assert set(BUILT_IN) <= set(said.replace(",", " ").replace(":", " ").split())
