"""Each term is the equation it states, by values worked out by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from finecap.config import ScstConfig
from finecap.metrics.language_model import NgramModel
from finecap.models.clip import ClipEncoder
from finecap.rewards import Images, Ingredients, Reward, RewardBatch

Saying = Callable[..., RewardBatch]
# cos(image, caption) = 0.8, cos(caption, references) = 0.6 and -1
IMAGE, CAPTION, NEAR, FAR = (0.8, 0.6), (1.0, 0.0), (0.6, 0.8), (-1.0, 0.0)


def scores(term: str, ingredients: Ingredients, batch: RewardBatch) -> list[list[float]]:
    return Reward({term: 1.0}, ingredients)(batch)[0].tolist()


def test_clip_s_is_its_definition(encoder: ClipEncoder, batch: RewardBatch) -> None:
    rewards, _ = Reward({"clip_s": 1.0}, Ingredients(encoder))(batch)
    for b, image in enumerate(batch.captions):
        text = encoder.encode_texts(list(image))
        torch.testing.assert_close(rewards[b], 2.5 * (text @ batch.vectors[b]).clamp(min=0))


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("clip_s", 2.0),
        ("ref_clip_s", 2 * 2.0 * 0.6 / 2.6),
        ("ref_clip_s_scaled", 2 * 2.0 * 1.5 / 3.5),
    ],
)
def test_clip_terms_by_hand(spelt: Callable[..., ClipEncoder], term: str, expected: float) -> None:
    encoder = spelt({"said": CAPTION, "near": NEAR, "far": FAR})
    batch = RewardBatch([["said"]], torch.tensor([IMAGE]), [["far", "near"]])
    assert scores(term, Ingredients(encoder), batch) == [[pytest.approx(expected)]]


def test_references_count_for_their_own_image_alone(spelt: Callable[..., ClipEncoder]) -> None:
    encoder = spelt({"said": CAPTION, "near": NEAR, "far": FAR})
    batch = RewardBatch([["said"], ["said"]], torch.tensor([IMAGE, IMAGE]), [["far"], ["near"]])
    first, second = scores("ref_clip_s", Ingredients(encoder), batch)
    assert first == [0.0]
    assert second[0] > 0.9


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
    half = 1 - math.log(2) / 60
    ranked, _ = Reward({"grammar_log": 1.0}, Ingredients(encoder))(batch)
    torch.testing.assert_close(ranked, torch.tensor([[half, 0.5, 0.5], [0.5, 0.25, 0.0]]))
    plain, _ = Reward({"grammar": 1.0}, Ingredients(encoder))(batch)
    torch.testing.assert_close(plain, torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]))


def test_cider_compares_with_the_captions_own_image(batch: RewardBatch, train: Images) -> None:
    found = scores("cider", Ingredients(train=train), batch)
    assert found[0][0] > found[0][1]
    assert found[1][0] > found[1][2]


def test_length_is_one_inside_its_window_and_falls_linearly_outside(saying: Saying) -> None:
    options = ScstConfig(length_min=2, length_max=3, length_slack=4.0)
    captions = ["cat", "a cat", "a red cat.", "a cat on a mat", " ".join(["cat"] * 11)]
    found = scores("length", Ingredients(options=options), saying(*captions))
    assert found == [[0.75, 1.0, 1.0, 0.5, -1.0]]


def test_repetition_is_minus_what_is_said_again(saying: Saying) -> None:
    captions = ["a cat", "cat", "a cat and a cat", "a a a cat"]
    found = scores("repetition", Ingredients(), saying(*captions))
    # 4 bigrams, 3 of them distinct; 3 bigrams, 2 distinct, and 2 of 3 neighbours the same
    assert found == [[0.0, 0.0, pytest.approx(-1 / 4), pytest.approx(-(1 / 3 + 2 / 3))]]


def test_repetition_counts_the_ngrams_it_is_told_to(saying: Saying) -> None:
    batch = saying("a cat and a cat and")  # trigrams: 4, 3 distinct
    found = scores("repetition", Ingredients(options=ScstConfig(repetition_ngram=3)), batch)
    assert found == [[pytest.approx(-1 / 4)]]


def test_lm_is_what_a_caption_lacks_to_the_floor(saying: Saying, train: Images) -> None:
    model = NgramModel([s for own in train.references for s in own], 2)
    likely, odd = model.mean_log_prob("a cat"), model.mean_log_prob("night at boat")
    options = ScstConfig(lm_order=2, lm_floor=(likely + odd) / 2)
    found = scores(
        "lm", Ingredients(options=options, train=train), saying("a cat", "night at boat")
    )
    assert found == [[0.0, pytest.approx((odd - likely) / 2)]]
