"""Two decoders: the forward one is the plain Transformer, the backward one is extra."""

import pytest
import torch
from torch import Tensor

from finecap.data.tokenizer import BOS, PAD, UNK, WordTokenizer
from finecap.models.bicaptioning import BicaptioningTransformer
from finecap.models.transformer import TransformerCaptioner, TransformerShape

SHAPE = TransformerShape(6, 16, 4, 0, 1, 0.0, 8)
WORDS = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)


@pytest.fixture
def captioner() -> BicaptioningTransformer:
    torch.manual_seed(0)
    return BicaptioningTransformer(SHAPE, WORDS)


@pytest.fixture
def grid() -> Tensor:
    return torch.randn(2, 5, 6)


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(4, len(WORDS), (2, 3, 6))


def test_a_second_decoder_changes_no_word_of_the_first(
    captioner: BicaptioningTransformer, grid: Tensor, ids: Tensor
) -> None:
    torch.manual_seed(0)
    plain = TransformerCaptioner(SHAPE, WORDS)
    own = captioner.teacher_forced(captioner.memory(grid), ids)
    assert torch.equal(own, plain.teacher_forced(plain.memory(grid), ids))


def test_the_second_decoder_has_weights_of_its_own(
    captioner: BicaptioningTransformer, grid: Tensor, ids: Tensor
) -> None:
    memory = captioner.memory(grid)
    backward = captioner.teacher_forced_backward(memory, ids)
    assert not torch.allclose(backward[..., 4:], captioner.teacher_forced(memory, ids)[..., 4:])
    assert backward[..., [PAD, BOS, UNK]].isneginf().all()


def test_it_scores_as_the_first_would_with_its_weights(
    captioner: BicaptioningTransformer, grid: Tensor, ids: Tensor
) -> None:
    backward = captioner.teacher_forced_backward(captioner.memory(grid), ids)
    captioner.decoder, captioner.final_norm = captioner.backward_decoder, captioner.backward_norm
    torch.testing.assert_close(captioner.teacher_forced(captioner.memory(grid), ids), backward)


def test_it_too_is_blind_to_the_words_after_a_word(
    captioner: BicaptioningTransformer, grid: Tensor, ids: Tensor
) -> None:
    changed, memory = ids.clone(), captioner.memory(grid)
    changed[..., 4:] = 5
    before, after = (
        captioner.teacher_forced_backward(memory, x)[..., :4, :] for x in (ids, changed)
    )
    torch.testing.assert_close(before, after)


def test_both_share_projection_and_embedding(
    captioner: BicaptioningTransformer, grid: Tensor, ids: Tensor
) -> None:
    captioner.teacher_forced_backward(captioner.memory(grid), ids)[
        ..., 4:
    ].square().sum().backward()
    for shared in (captioner.embedding, captioner.grid_project):
        assert shared.weight.grad is not None
        assert shared.weight.grad.any()
    assert all(p.grad is None for p in captioner.decoder.parameters())
