"""Decoding: greedy and samples side by side, and what an EOS does."""

from itertools import pairwise

import pytest
import torch

from finecap.data.tokenizer import EOS, PAD, WordTokenizer
from finecap.models.decoding import caption_inputs, decode, is_time_to_look, to_captions
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


def settings(name: str) -> dict:
    return {
        "greedy": {},
        "sampled": {"uniforms": uniforms(1, 4, 3), "temperature": 1.5},
        "nucleus": {"uniforms": uniforms(1, 4, 3), "top_p": 0.8},
        "without repeats": {"uniforms": uniforms(1, 4, 3), "no_repeat_ngram": 2},
    }[name]


@pytest.mark.parametrize("name", ["greedy", "sampled", "nucleus", "without repeats"])
def test_a_caption_depends_on_its_own_image_and_numbers_alone(
    captioner: TransformerCaptioner, name: str
) -> None:
    captioner.eval()
    sharpen(captioner)
    grid, how = torch.randn(4, 5, 6), settings(name)
    together = decode(captioner, captioner.memory(grid), 12, **how)
    assert len({tuple(row) for row in together.flatten(0, 1).tolist()}) > 1
    for i in range(4):
        own = how | ({"uniforms": how["uniforms"][i : i + 1]} if "uniforms" in how else {})
        alone = decode(captioner, captioner.memory(grid[i : i + 1]), 12, **own)[0]
        assert torch.equal(together[i, :, : alone.shape[-1]], alone)


def sharpen(captioner: TransformerCaptioner) -> None:
    """Let it say something else of every image, and end at different lengths."""
    with torch.no_grad():
        captioner.memory_norm.weight.mul_(20)


def test_images_whose_captions_have_ended_cost_no_more_steps(
    captioner: TransformerCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner.eval()
    sharpen(captioner)
    memory = captioner.memory(torch.randn(16, 5, 6))
    step, images = captioner.step, []

    def counted(previous: torch.Tensor, state: object) -> torch.Tensor:
        images.append(len(previous))
        return step(previous, state)

    monkeypatch.setattr(captioner, "step", counted)
    tokens = decode(captioner, memory, 12, uniforms=uniforms(0, 16, 1))
    lengths = (tokens != PAD).sum(-1).amax(1)  # of each image's longest caption
    needed = [int((lengths > t).sum()) for t in range(len(images))]
    assert needed[-1] < 16
    assert images[0] == 16
    for t in range(1, len(images)):
        assert needed[t] <= images[t] < max(needed[t] / 0.75, needed[t] + 1)


def test_a_gpu_is_asked_every_few_tokens_and_a_cpu_at_each(
    captioner: TransformerCaptioner,
) -> None:
    state = captioner.begin(captioner.memory(torch.randn(1, 5, 6)), 1)
    looks = {
        device: [t for t in range(9) if is_time_to_look(t, state, torch.device(device))]
        for device in ("cpu", "cuda")
    }
    assert looks == {"cpu": list(range(9)), "cuda": [3, 7]}


def test_no_ngram_is_said_twice(captioner: TransformerCaptioner) -> None:
    memory = captioner.memory(torch.randn(8, 5, 6))
    numbers = uniforms(0, 8, 4)
    tokens = decode(captioner, memory, 12, uniforms=numbers, no_repeat_ngram=2)
    free = decode(captioner, memory, 12, uniforms=numbers)
    assert repeated_bigrams(free) > 0
    assert repeated_bigrams(tokens) == 0


def repeated_bigrams(tokens: torch.Tensor) -> int:
    rows = [[t for t in row if t != PAD] for row in tokens.flatten(0, 1).tolist()]
    pairs = [list(pairwise(row)) for row in rows]
    return sum(len(said) - len(set(said)) for said in pairs)


def test_a_nucleus_of_one_token_is_greedy(captioner: TransformerCaptioner) -> None:
    memory = captioner.memory(torch.randn(4, 5, 6))
    tokens = decode(captioner, memory, 12, uniforms=uniforms(0, 4, 3), top_p=1e-6)
    assert torch.equal(tokens, tokens[:, :1].expand_as(tokens))


def test_greedy_is_free_of_temperature_and_nucleus(captioner: TransformerCaptioner) -> None:
    memory, numbers = captioner.memory(torch.randn(4, 5, 6)), uniforms(0, 4, 1)
    alone = decode(captioner, memory, 12)[:, 0]
    beside = decode(captioner, memory, 12, uniforms=numbers, temperature=0.3, top_p=0.5)[:, 0]
    assert torch.equal(alone, beside[:, : alone.shape[-1]])
