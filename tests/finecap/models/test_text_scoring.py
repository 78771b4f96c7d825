"""Scored text features are the plain ones, whatever the texts share and wherever they end."""

import pytest
import torch

from finecap.config import ClipConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models import text_scoring, towers
from finecap.models.clip import ClipEncoder

WORDS = ["a", "photo", "depicts", *(f"w{i}" for i in range(30))]


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    torch.manual_seed(0)
    config = ClipConfig(
        image_size=32, image_width=8, embed_dim=16, text_width=32, text_heads=4, text_layers=3
    )
    return ClipEncoder(config, WordTokenizer(WORDS)).eval()


@pytest.mark.parametrize(
    "texts",
    [
        ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10"],
        ["w1", "w1 w2", "w1 w2 w3"],  # one is the beginning of the others
        ["w1 w2", "w1 w2"],
        ["w1 w2 w3"],
        ["", "w1"],
        [""],
    ],
)
@pytest.mark.parametrize("prompt", [True, False])
def test_pooled_features_are_those_of_the_plain_pass(
    encoder: ClipEncoder, texts: list[str], prompt: bool
) -> None:
    tower = towers.text_tower(encoder.model)
    tokens = encoder.tokenize(texts, prompt=prompt)
    expected = towers.pooled_text(tower, tokens)
    torch.testing.assert_close(text_scoring.pooled_text(tower, tokens), expected)


def test_what_all_texts_begin_with_is_shared_but_never_an_end() -> None:
    eos = 2
    tokens = torch.tensor([[1, 5, 6, eos, 0], [1, 5, 6, 7, eos]])
    assert text_scoring.shared_tokens(tokens, torch.tensor([3, 4])) == 3
    alike = tokens[:1].expand(3, -1)
    assert text_scoring.shared_tokens(alike, torch.tensor([3, 3, 3])) == 3


def test_texts_come_back_in_the_order_they_were_given(encoder: ClipEncoder) -> None:
    texts = ["w1 w2 w3 w4 w5", "w6", "w7 w8", "w9 w10 w11", "w12"]
    together = encoder.encode_texts(texts, batch_size=2)
    alone = torch.cat([encoder.encode_texts([text]) for text in texts])
    torch.testing.assert_close(together, alone)
