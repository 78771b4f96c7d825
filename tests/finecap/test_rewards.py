"""Rewards: each term is what its metric says, weights add up, twins are encoded once."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from finecap.config import ClipConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.metrics.cider import CiderD
from finecap.models.clip import ClipEncoder
from finecap.rewards import Reward, RewardBatch

REFERENCES = (("a red boat", "a boat"), ("a cat", "a black cat at night"))
CAPTIONS = (("a red boat", "a cat", "a cat"), ("a cat", "a cat at night", "boat"))


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    torch.manual_seed(0)
    words = WordTokenizer.build([c for refs in REFERENCES for c in refs] + ["a photo depicts"], 1)
    config = ClipConfig(image_size=32, image_width=8, embed_dim=16, text_width=16, text_heads=2)
    encoder = ClipEncoder(config, words)
    encoder.add_head(8, "joint")
    return encoder.eval()


@pytest.fixture(scope="module")
def batch() -> RewardBatch:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    return RewardBatch(CAPTIONS, vectors, REFERENCES)


def test_clip_s_is_its_definition(encoder: ClipEncoder, batch: RewardBatch) -> None:
    rewards, _ = Reward({"clip_s": 1.0}, encoder)(batch)
    for b, image in enumerate(CAPTIONS):
        text = encoder.encode_texts(list(image))
        expected = 2.5 * (text @ batch.vectors[b]).clamp(min=0)
        torch.testing.assert_close(rewards[b], expected)


def test_terms_add_up_by_weight(encoder: ClipEncoder, batch: RewardBatch) -> None:
    cider = CiderD(REFERENCES)
    parts = [Reward({n: 1.0}, encoder, cider)(batch)[0] for n in ("clip_s", "grammar", "cider")]
    both, means = Reward({"clip_s": 2.0, "grammar": 0.5, "cider": 3.0}, encoder, cider)(batch)
    torch.testing.assert_close(both, 2 * parts[0] + 0.5 * parts[1] + 3 * parts[2])
    assert means["grammar"] == pytest.approx(parts[1].mean().item())


def test_weights_of_the_moment_stand_in_for_its_own(
    encoder: ClipEncoder, batch: RewardBatch
) -> None:
    reward = Reward({"clip_s": 1.0, "grammar": 2.0}, encoder)
    expected, _ = Reward({"clip_s": 3.0, "grammar": 0.5}, encoder)(batch)
    torch.testing.assert_close(reward(batch, {"clip_s": 3.0, "grammar": 0.5})[0], expected)


def test_cider_compares_with_the_captions_own_image(
    encoder: ClipEncoder, batch: RewardBatch
) -> None:
    rewards, _ = Reward({"cider": 1.0}, encoder, CiderD(REFERENCES))(batch)
    assert rewards[0, 0] > rewards[0, 1]
    assert rewards[1, 0] > rewards[1, 2]


def test_a_caption_that_occurs_twice_is_encoded_once(
    encoder: ClipEncoder, batch: RewardBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    real = encoder.encode_texts

    def counting(texts: Sequence[str]) -> Tensor:
        encoded.extend(texts)
        return real(texts)

    monkeypatch.setattr(encoder, "encode_texts", counting)
    Reward({"clip_s": 1.0}, encoder)(batch)
    assert sorted(encoded) == sorted(set(encoded))


def test_grammar_is_scored_with_the_prompt_it_is_trained_with(encoder: ClipEncoder) -> None:
    with_prompt = encoder.grammar_logits(encoder.tokenize(["a cat"], prompt=True)).sigmoid()
    torch.testing.assert_close(encoder.grammar_scores(["a cat"]), with_prompt.detach())


def test_grammar_log_ranks_what_the_grammar_score_rounds_to_zero(
    encoder: ClipEncoder, batch: RewardBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = {"a red boat": 0.0, "a cat": -30.0, "a cat at night": -45.0, "boat": -200.0}

    def fixed(tokens: Tensor) -> Tensor:
        texts = (encoder.tokenizer.decode(row.tolist()) for row in tokens)
        return torch.tensor([logits[text.removeprefix("a photo depicts ")] for text in texts])

    monkeypatch.setattr(encoder, "grammar_logits", fixed)
    rewards, _ = Reward({"grammar_log": 1.0}, encoder)(batch)
    half = 1 - math.log(2) / 60
    torch.testing.assert_close(rewards, torch.tensor([[half, 0.5, 0.5], [0.5, 0.25, 0.0]]))
    plain, _ = Reward({"grammar": 1.0}, encoder)(batch)
    torch.testing.assert_close(plain, torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]))


def test_an_unknown_term_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(ValueError, match="expected some of clip_s, grammar, grammar_log, cider"):
        Reward({"beauty": 1.0}, encoder)


def test_grammar_without_a_head_is_refused(encoder: ClipEncoder) -> None:
    bare = ClipEncoder(encoder.config, encoder.tokenizer)
    with pytest.raises(ValueError, match="has no grammar head"):
        Reward({"grammar": 1.0}, bare)


def test_cider_without_document_frequencies_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(ValueError, match="no document frequencies"):
        Reward({"cider": 1.0}, encoder)
