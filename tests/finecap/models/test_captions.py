"""Captions for people: each way of asking gives what its decoder finds, image by image."""

import pytest
import torch

from finecap.data.tokenizer import WordTokenizer
from finecap.models.beam import beam_search
from finecap.models.captions import Beams, Draws, best_captions, drawn_captions
from finecap.models.decoding import caption_inputs, to_captions
from finecap.models.transformer import TransformerCaptioner, TransformerShape


@pytest.fixture
def captioner() -> TransformerCaptioner:
    """Random weights that say something else of every image."""
    torch.manual_seed(1)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    model = TransformerCaptioner(TransformerShape(6, 16, 4, 1, 1, 0.5, 12), tokenizer)
    with torch.no_grad():
        model.memory_norm.weight.mul_(20)
    return model


def test_greedy_is_what_is_said_unless_told_otherwise(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(6, 5, 6)
    greedy = caption_inputs(captioner, grid, 12)
    assert best_captions(captioner, grid, 12) == greedy
    assert best_captions(captioner, grid, 12, Beams(1, length_penalty=2.0)) == greedy


def test_beams_say_what_beam_search_finds(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(6, 5, 6)
    captions = best_captions(captioner, grid, 12, Beams(3, length_penalty=1.0, no_repeat_ngram=2))
    memory = captioner.eval().memory(grid)
    found, _ = beam_search(captioner, memory, 12, beams=3, length_penalty=1.0, no_repeat_ngram=2)
    assert [[said] for said in captions] == to_captions(captioner, found[:, None])
    assert captions != best_captions(captioner, grid, 12)


@pytest.mark.parametrize("beams", [1, 3])
def test_no_word_is_said_twice_where_none_may(captioner: TransformerCaptioner, beams: int) -> None:
    for said in best_captions(captioner, torch.randn(6, 5, 6), 12, Beams(beams, no_repeat_ngram=1)):
        words = said.split()
        assert len(words) == len(set(words))


def test_drawn_captions_differ_and_are_the_same_for_a_seed(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(6, 5, 6)
    first, again, other = (
        drawn_captions(captioner, grid, 12, Draws(5, top_p=1.0, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert all(1 <= len(said) == len(set(said)) <= 5 for said in first)
    assert max(map(len, first)) > 1


@pytest.mark.parametrize("how", [Beams(3), Draws(4, temperature=0.7, no_repeat_ngram=2)])
def test_an_image_is_captioned_alike_in_any_company(
    captioner: TransformerCaptioner, how: Beams | Draws
) -> None:
    caption = best_captions if isinstance(how, Beams) else drawn_captions
    grid = torch.randn(5, 5, 6)
    alone = [caption(captioner, grid[i : i + 1], 12, how)[0] for i in range(5)]
    assert caption(captioner, grid, 12, how) == alone
    assert captioner.training
