"""The head's own phase, and what accuracy says of a head."""

import pandas as pd
import pytest
import torch
from torch import Tensor

from finecap.config import ClipConfig, ClipRewardConfig
from finecap.data.tokenizer import PAD, WordTokenizer
from finecap.log import silent
from finecap.models.clip import ClipEncoder
from finecap.training.grammar_network import grammar_accuracy, grammar_loss, learn_grammar

TABLE = pd.DataFrame({"caption": ["a boat"], "negative": ["boat a boat"], "kind": ["repeat"]})
CONFIG = ClipRewardConfig(grammar_steps=60, batch_size=4, head_lr=1e-2)


def new_encoder(tower: str) -> ClipEncoder:
    torch.manual_seed(0)
    words = WordTokenizer.build(["a photo depicts a boat"], 1)
    encoder = ClipEncoder(ClipConfig(text_width=16, text_heads=2, image_width=8), words)
    encoder.add_head(8, tower)
    return encoder


def words_of(tokens: Tensor) -> set[tuple[int, ...]]:
    """The distinct rows (N, T), padding cut off."""
    return {tuple(i for i in row if i != PAD) for row in tokens.tolist()}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The token ids that reach the head, in the order of calls."""
    seen: list[Tensor] = []
    real = ClipEncoder.grammar_logits

    def spy(self: ClipEncoder, tokens: Tensor) -> Tensor:
        seen.append(tokens)
        return real(self, tokens)

    monkeypatch.setattr(ClipEncoder, "grammar_logits", spy)
    return seen


@pytest.mark.parametrize("tower", ["joint", "recurrent"])
def test_training_reads_the_very_tokens_that_scoring_reads(
    tower: str, reached: list[Tensor]
) -> None:
    encoder = new_encoder(tower)
    if tower == "recurrent":
        learn_grammar(encoder, TABLE, CONFIG.model_copy(update={"grammar_steps": 1}), silent)
    else:
        grammar_loss(encoder, list(TABLE["caption"]), list(TABLE["negative"]))
    encoder.grammar_scores(["a boat", "boat a boat"])
    trained, scored = map(words_of, reached)
    assert trained == scored
    assert scored == words_of(encoder.tokenize(["a boat", "boat a boat"], prompt=True))
    assert scored != words_of(encoder.tokenize(["a boat", "boat a boat"], prompt=False))


def test_a_recurrent_tower_learns_what_it_is_shown() -> None:
    encoder = new_encoder("recurrent")
    learn_grammar(encoder, TABLE, CONFIG, silent)
    correct, corrupted = encoder.grammar_scores(["a boat", "boat a boat"]).tolist()
    assert correct > 0.9
    assert corrupted < 0.1


def test_accuracy_of_a_head_that_accepts_everything_is_one_half() -> None:
    encoder = new_encoder("joint").eval()
    assert encoder.head is not None
    with torch.no_grad():
        encoder.head.layers[-1].weight.zero_()  # type: ignore[union-attr, operator]
        encoder.head.layers[-1].bias.fill_(5.0)  # type: ignore[union-attr, operator]
    assert grammar_accuracy(encoder, TABLE) == {
        "grammar_accuracy": 0.5,
        "grammar_accuracy_correct": 1.0,
        "grammar_accuracy_repeat": 0.0,
    }
