"""Decoding: greedy and samples side by side, and what an EOS does."""

import pytest
import torch

from finecap.data.tokenizer import EOS, PAD, WordTokenizer
from finecap.models.decoding import caption_inputs, decode, sample, to_captions
from finecap.models.transformer import TransformerCaptioner, TransformerShape


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(1)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return TransformerCaptioner(TransformerShape(6, 16, 4, 1, 1, 0.5, 12), tokenizer)


def uniforms(seed: int, images: int, samples: int) -> torch.Tensor:
    return 1 - torch.rand(images, samples, 12, generator=torch.Generator().manual_seed(seed))


def test_rows_are_greedy_then_samples(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(3, 5, 6)
    memory = captioner.memory(grid)
    both = decode(captioner, memory, 12, uniforms=uniforms(0, 3, 4))
    greedy = decode(captioner, memory, 12)
    assert both.shape[:2] == (3, 5)
    width = greedy.shape[-1]
    assert torch.equal(both[:, 0, :width], greedy[:, 0])


def test_dropout_favours_nobody_and_the_mode_is_restored(captioner: TransformerCaptioner) -> None:
    captioner.train()
    memory = captioner.memory(torch.randn(2, 5, 6))
    assert torch.equal(decode(captioner, memory, 12), decode(captioner, memory, 12))
    assert captioner.training


def test_same_seed_same_samples(captioner: TransformerCaptioner) -> None:
    memory = captioner.memory(torch.randn(2, 5, 6))
    first, again, other = (
        decode(captioner, memory, 12, greedy=False, uniforms=uniforms(s, 2, 5)) for s in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_after_eos_there_is_only_padding(captioner: TransformerCaptioner) -> None:
    tokens = decode(
        captioner, captioner.memory(torch.randn(8, 5, 6)), 12, uniforms=uniforms(0, 8, 6)
    )
    after = (tokens == EOS).cumsum(-1) - (tokens == EOS).long() > 0
    assert (tokens[after] == PAD).all()
    assert (tokens[~after] != PAD).all()


def test_no_eos_is_forced_at_the_length_limit(captioner: TransformerCaptioner) -> None:
    with torch.no_grad():
        captioner.final_norm.bias.copy_(-10 * captioner.embedding.weight[EOS])
    tokens = decode(
        captioner, captioner.memory(torch.randn(4, 5, 6)), 6, uniforms=uniforms(0, 4, 3)
    )
    assert tokens.shape[-1] == 6
    assert not (tokens == EOS).any()


def test_a_batch_decodes_as_its_images_one_by_one(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(4, 5, 6)
    alone = [caption_inputs(captioner, grid[i : i + 1], 12)[0] for i in range(4)]
    assert caption_inputs(captioner, grid, 12) == alone


def test_captions_come_as_words(captioner: TransformerCaptioner) -> None:
    ids = captioner.tokenizer.encode("a red boat", 6)[1:]
    assert to_captions(captioner, torch.tensor([[ids]])) == [["a red boat"]]


def test_nothing_to_decode_is_refused(captioner: TransformerCaptioner) -> None:
    with pytest.raises(ValueError, match="nothing to decode"):
        decode(captioner, captioner.memory(torch.randn(1, 5, 6)), 12, greedy=False)


def test_a_caption_depends_on_its_own_image_and_numbers_alone(
    captioner: TransformerCaptioner,
) -> None:
    captioner.eval()
    grid, numbers = torch.randn(4, 5, 6), uniforms(0, 4, 3)
    together = decode(captioner, captioner.memory(grid), 12, uniforms=numbers)
    for i in range(4):
        memory = captioner.memory(grid[i : i + 1])
        alone = decode(captioner, memory, 12, uniforms=numbers[i : i + 1])[0]
        assert torch.equal(together[i, :, : alone.shape[-1]], alone)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.5, 0.0, 0.2, 0.3]).log().expand(20_000, 4)
    numbers = 1 - torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    drawn = sample(logits, numbers)
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.0, 0.2, 0.3]), atol=0.015, rtol=0)


@pytest.mark.parametrize("number", [1e-45, 0.5, 1.0])
def test_a_token_without_probability_is_never_drawn(number: float) -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    assert sample(logits, torch.tensor(number)).item() in {1, 3}
