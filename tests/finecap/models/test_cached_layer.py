"""A cached decode says what the teacher-forced pass says, also after rows moved or images left."""

import pytest
import torch

from finecap.data.tokenizer import BOS, WordTokenizer
from finecap.models.transformer import TransformerCaptioner, TransformerShape

T = 6


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return TransformerCaptioner(TransformerShape(6, 16, 4, 1, 2, 0.1, 8), tokenizer).eval()


def captions(images: int, rows: int, generator: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(generator)
    ids = torch.randint(4, 10, (images, rows, T), generator=draw)
    ids[..., 0] = BOS
    return ids


def test_steps_on_packed_weights_equal_the_teacher_forced_pass() -> None:
    torch.manual_seed(0)
    tokenizer = WordTokenizer([f"word{i}" for i in range(600)])
    wide = TransformerCaptioner(TransformerShape(6, 256, 4, 0, 2, 0.0, 8), tokenizer).eval()
    memory, ids = wide.memory(torch.randn(4, 5, 6)), captions(4, 3)
    forced, state = wide.teacher_forced(memory, ids), wide.begin(memory, 3)
    assert state.to_logits.is_packed
    assert state.layers[0].up.is_packed
    for t in range(T):
        torch.testing.assert_close(
            wide.step(ids[..., t], state), forced[..., t, :], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("rows", [1, 3, 12])
def test_steps_equal_the_teacher_forced_pass(captioner: TransformerCaptioner, rows: int) -> None:
    memory, ids = captioner.memory(torch.randn(2, 5, 6)), captions(2, rows)
    forced = captioner.teacher_forced(memory, ids)  # (B, rows, T, V)
    state = captioner.begin(memory, rows)
    for t in range(T):
        torch.testing.assert_close(
            captioner.step(ids[..., t], state), forced[..., t, :], atol=1e-5, rtol=1e-5
        )


def test_a_row_goes_on_from_what_its_parent_was(captioner: TransformerCaptioner) -> None:
    memory, ids = captioner.memory(torch.randn(2, 5, 6)), captions(2, 3)
    parents = torch.tensor([[2, 0, 0], [1, 1, 2]])
    state = captioner.begin(memory, 3)
    for t in range(3):
        captioner.step(ids[..., t], state)
    state.reorder(parents)
    ids = ids.gather(1, parents[..., None].expand_as(ids))
    forced = captioner.teacher_forced(memory, ids)
    for t in range(3, T):
        torch.testing.assert_close(captioner.step(ids[..., t], state), forced[..., t, :])


@pytest.mark.parametrize("rows", [1, 3])
def test_images_that_are_kept_go_on_as_before(captioner: TransformerCaptioner, rows: int) -> None:
    memory, ids = captioner.memory(torch.randn(4, 5, 6)), captions(4, rows)
    forced = captioner.teacher_forced(memory, ids)
    state = captioner.begin(memory, rows)
    for t in range(T):
        if t == 2:
            state.keep(torch.tensor([0, 2, 3]))
            ids, forced = ids[[0, 2, 3]], forced[[0, 2, 3]]
        if t == 4:  # places are counted among those that are left
            state.keep(torch.tensor([1]))
            ids, forced = ids[[1]], forced[[1]]
        torch.testing.assert_close(captioner.step(ids[..., t], state), forced[..., t, :])


def test_a_decode_leaves_the_memory_as_it_was(captioner: TransformerCaptioner) -> None:
    memory = captioner.memory(torch.randn(2, 5, 6))
    before = [part.clone() for layer in memory.keys_values for part in layer]
    state = captioner.begin(memory, 2)
    captioner.step(captions(2, 2)[..., 0], state)
    state.reorder(torch.tensor([[1, 1], [0, 0]]))
    state.keep(torch.tensor([1]))
    after = [part for layer in memory.keys_values for part in layer]
    assert all(map(torch.equal, before, after))
    assert all(part.requires_grad for part in after)  # training scores on it afterwards
