"""Decoding: greedy and samples side by side, and what an EOS does."""

import pytest
import torch

from finecap.data.tokenizer import EOS, PAD, WordTokenizer
from finecap.models.decoding import caption_grids, decode, to_captions
from finecap.models.transformer import TransformerCaptioner, TransformerShape


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(1)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return TransformerCaptioner(TransformerShape(6, 16, 4, 1, 1, 0.5, 12), tokenizer)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rows_are_greedy_then_samples(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(3, 5, 6)
    both = decode(captioner, grid, 12, samples=4, generator=seeded(0))
    greedy = decode(captioner, grid, 12)
    assert both.shape[:2] == (3, 5)
    width = greedy.shape[-1]
    assert torch.equal(both[:, 0, :width], greedy[:, 0])


def test_dropout_favours_nobody_and_the_mode_is_restored(captioner: TransformerCaptioner) -> None:
    captioner.train()
    grid = torch.randn(2, 5, 6)
    assert torch.equal(decode(captioner, grid, 12), decode(captioner, grid, 12))
    assert captioner.training


def test_same_seed_same_samples(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(2, 5, 6)
    first, again, other = (
        decode(captioner, grid, 12, samples=5, greedy=False, generator=seeded(s)) for s in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_after_eos_there_is_only_padding(captioner: TransformerCaptioner) -> None:
    tokens = decode(captioner, torch.randn(8, 5, 6), 12, samples=6, generator=seeded(0))
    after = (tokens == EOS).cumsum(-1) - (tokens == EOS).long() > 0
    assert (tokens[after] == PAD).all()
    assert (tokens[~after] != PAD).all()


def test_no_eos_is_forced_at_the_length_limit(captioner: TransformerCaptioner) -> None:
    with torch.no_grad():
        captioner.final_norm.bias.copy_(-10 * captioner.embedding.weight[EOS])
    tokens = decode(captioner, torch.randn(4, 5, 6), 6, samples=3, generator=seeded(0))
    assert tokens.shape[-1] == 6
    assert not (tokens == EOS).any()


def test_a_batch_decodes_as_its_images_one_by_one(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(4, 5, 6)
    alone = [caption_grids(captioner, grid[i : i + 1], 12)[0] for i in range(4)]
    assert caption_grids(captioner, grid, 12) == alone


def test_captions_come_as_words(captioner: TransformerCaptioner) -> None:
    ids = captioner.tokenizer.encode("a red boat", 6)[1:]
    assert to_captions(captioner, torch.tensor([[ids]])) == [["a red boat"]]


def test_nothing_to_decode_is_refused(captioner: TransformerCaptioner) -> None:
    with pytest.raises(ValueError, match="nothing to decode"):
        decode(captioner, torch.randn(1, 5, 6), 12, greedy=False)
