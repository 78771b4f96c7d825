"""A decode in shapes that never change says what the growing one and teacher forcing say."""

import pytest
import torch

from finecap.data.tokenizer import BOS, WordTokenizer
from finecap.models.static_layer import StaticDecoder
from finecap.models.transformer import ImageMemory, TransformerCaptioner, TransformerShape

T = 6


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return TransformerCaptioner(TransformerShape(6, 16, 4, 1, 2, 0.1, 8), tokenizer).eval()


def captions(images: int, rows: int) -> torch.Tensor:
    ids = torch.randint(4, 10, (images, rows, T), generator=torch.Generator().manual_seed(0))
    ids[..., 0] = BOS
    return ids


def started(
    captioner: TransformerCaptioner,
    memory: ImageMemory,
    rows: int,
    dtype: torch.dtype = torch.float32,
) -> StaticDecoder:
    decoder = StaticDecoder(captioner, memory, rows, dtype)
    decoder.start(memory)
    return decoder


def step(decoder: StaticDecoder, previous: torch.Tensor) -> torch.Tensor:
    decoder.previous.copy_(previous)
    return decoder()


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("rows", [1, 3])
@torch.no_grad()
def test_steps_equal_the_growing_ones_and_the_teacher_forced_pass(
    captioner: TransformerCaptioner, images: int, rows: int
) -> None:
    memory, ids = captioner.memory(torch.randn(images, 5, 6)), captions(images, rows)
    forced = captioner.teacher_forced(memory, ids)  # (B, rows, T, V)
    decoder, growing = started(captioner, memory, rows), captioner.begin(memory, rows)
    for t in range(T):
        logits = step(decoder, ids[..., t])
        torch.testing.assert_close(
            logits, captioner.step(ids[..., t], growing), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(logits, forced[..., t, :], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_in_half_precision_steps_are_close_to_the_growing_ones(
    captioner: TransformerCaptioner,
) -> None:
    ids = captions(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        memory = captioner.memory(torch.randn(4, 5, 6))
        growing = captioner.begin(memory, 3)
        expected = [captioner.step(ids[..., t], growing) for t in range(T)]
    decoder = started(captioner, memory, 3, torch.bfloat16)
    for t in range(T):
        logits = step(decoder, ids[..., t])
        assert logits.dtype == expected[t].dtype == torch.bfloat16
        torch.testing.assert_close(logits, expected[t], atol=0.03, rtol=0.03)


@torch.no_grad()
def test_no_shape_and_no_place_in_memory_changes(captioner: TransformerCaptioner) -> None:
    memory, ids = captioner.memory(torch.randn(2, 5, 6)), captions(2, 3)
    decoder = started(captioner, memory, 3)
    before = {name: (b.data_ptr(), b.shape) for name, b in decoder.named_buffers()}
    for t in range(T):
        step(decoder, ids[..., t])
    decoder.reorder(torch.tensor([2, 0, 0, 4, 3, 3]))
    decoder.start(memory)
    assert {name: (b.data_ptr(), b.shape) for name, b in decoder.named_buffers()} == before


@torch.no_grad()
def test_a_start_forgets_words_and_takes_new_images_and_weights(
    captioner: TransformerCaptioner,
) -> None:
    ids = captions(2, 3)
    decoder = started(captioner, captioner.memory(torch.randn(2, 5, 6)), 3)
    for t in range(T):
        step(decoder, ids[..., t])
    for name, buffer in decoder.named_buffers():
        if name.endswith(("keys", "values")):
            buffer.fill_(torch.nan)  # what a decode that came to nothing would leave
    for parameter in captioner.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    memory = captioner.memory(torch.randn(2, 5, 6))
    decoder.start(memory)
    forced = captioner.teacher_forced(memory, ids)
    for t in range(T):
        torch.testing.assert_close(
            step(decoder, ids[..., t]), forced[..., t, :], atol=1e-5, rtol=1e-5
        )


@torch.no_grad()
def test_a_row_goes_on_from_what_its_parent_was(captioner: TransformerCaptioner) -> None:
    memory, ids = captioner.memory(torch.randn(2, 5, 6)), captions(2, 3)
    parents = torch.tensor([[2, 0, 0], [1, 1, 2]])
    decoder = started(captioner, memory, 3)
    for t in range(3):
        step(decoder, ids[..., t])
    decoder.reorder(torch.tensor([2, 0, 0, 4, 4, 5]))
    ids = ids.gather(1, parents[..., None].expand_as(ids))
    forced = captioner.teacher_forced(memory, ids)
    for t in range(3, T):
        torch.testing.assert_close(step(decoder, ids[..., t]), forced[..., t, :])


def test_a_decode_leaves_captioner_and_memory_as_they_were(
    captioner: TransformerCaptioner,
) -> None:
    memory, saved = captioner.memory(torch.randn(2, 5, 6)), set(captioner.state_dict())
    before = [part.clone() for layer in memory.keys_values for part in layer]
    decoder = started(captioner, memory, 2)
    with torch.no_grad():
        step(decoder, captions(2, 2)[..., 0])
    after = [part for layer in memory.keys_values for part in layer]
    assert all(map(torch.equal, before, after))
    assert all(part.requires_grad for part in after)  # training scores on it afterwards
    assert set(captioner.state_dict()) == saved
