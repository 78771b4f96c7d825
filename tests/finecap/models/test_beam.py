"""Beam search against all captions there are, and against transformers on the same model."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from finecap.data.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer
from finecap.losses import through_eos, token_log_probs
from finecap.models.beam import beam_search
from finecap.models.decoding import decode
from finecap.models.transformer import TransformerCaptioner, TransformerShape

T = 4
EXHAUSTIVE = 121  # captions of 3 words and at most 4 tokens: 1 + 3 + 9 + 27 that end, 81 cut off


def a_captioner(seed: int, words: int = 3, max_tokens: int = 12) -> TransformerCaptioner:
    torch.manual_seed(seed)
    tokenizer = WordTokenizer([f"word{i}" for i in range(words)])
    captioner = TransformerCaptioner(
        TransformerShape(6, 16, 4, 0, 1, 0.0, max_tokens), tokenizer
    ).eval()
    with torch.no_grad():
        captioner.memory_norm.weight.mul_(10)  # say something else of every image
        captioner.final_norm.weight.mul_(1.5)
    return captioner


def scores_of(
    captioner: TransformerCaptioner, grid: torch.Tensor, captions: torch.Tensor, alpha: float
) -> torch.Tensor:
    """Teacher-forced score (B, K) of captions (B, K, T)."""
    mask = through_eos(captions, EOS)
    first = torch.full_like(captions[..., :1], BOS)
    logits = captioner.teacher_forced(
        captioner.memory(grid), torch.cat([first, captions[..., :-1]], -1)
    )
    log_probs = token_log_probs(logits, captions.masked_fill(~mask, EOS), mask)
    return (log_probs * mask).sum(-1) / mask.sum(-1) ** alpha


def all_captions() -> torch.Tensor:
    """(1, 121, 4): every caption of words 4-6, with EOS or cut off."""
    ended = [
        (*words, EOS, *(PAD,) * (T - 1 - length))
        for length in range(T)
        for words in itertools.product((4, 5, 6), repeat=length)
    ]
    return torch.tensor([ended + list(itertools.product((4, 5, 6), repeat=T))])


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.6, 1.0, 2.0])
@torch.no_grad()
def test_an_exhaustive_beam_finds_the_best_of_all_captions(alpha: float) -> None:
    captioner, grid = a_captioner(0), torch.randn(6, 5, 6)
    captions = all_captions()
    assert captions.shape[1] == EXHAUSTIVE
    best, place = scores_of(captioner, grid, captions.expand(6, -1, -1), alpha).max(1)
    found, scores = beam_search(
        captioner, captioner.memory(grid), T, beams=EXHAUSTIVE, length_penalty=alpha
    )
    assert torch.equal(found, captions[0, place])
    torch.testing.assert_close(scores, best)


@torch.no_grad()
def test_an_exhaustive_beam_never_scores_below_greedy() -> None:
    for seed in range(5):
        captioner, grid = a_captioner(seed), torch.randn(6, 5, 6)
        memory = captioner.memory(grid)
        greedy = scores_of(captioner, grid, decode(captioner, memory, T), 0)[:, 0]
        _, scores = beam_search(captioner, memory, T, beams=EXHAUSTIVE)
        assert (scores >= greedy - 1e-5).all()


@torch.no_grad()
def test_one_beam_is_greedy() -> None:
    captioner = a_captioner(1, words=8)
    memory = captioner.memory(torch.randn(16, 5, 6))
    greedy = decode(captioner, memory, 12)[:, 0]
    found, _ = beam_search(captioner, memory, 12, beams=1)
    assert torch.equal(found[:, : greedy.shape[-1]], greedy)


class AsPretrained(PreTrainedModel, GenerationMixin):
    """A captioner in the clothes of transformers, without a cache: the reference for beams."""

    config_class = PreTrainedConfig
    main_input_name = "input_ids"

    def __init__(self, captioner: TransformerCaptioner, grid: torch.Tensor) -> None:
        super().__init__(PreTrainedConfig(vocab_size=len(captioner.tokenizer)))
        self.captioner, self.grid = captioner, grid
        self.generation_config = GenerationConfig(
            bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD
        )

    def prepare_inputs_for_generation(self, input_ids, images, **_):
        return {"input_ids": input_ids, "images": images}

    def forward(self, input_ids, images, **_):
        memory = self.captioner.memory(self.grid[images])
        logits = self.captioner.teacher_forced(memory, input_ids[:, None])[:, 0]
        return CausalLMOutput(logits=logits)


@pytest.mark.parametrize(
    ("beams", "alpha", "ngram"),
    [(2, 0.0, 0), (3, 1.0, 0), (5, 0.6, 0), (4, -0.5, 0), (3, 1.0, 2), (2, 0.0, 1)],
)
@torch.no_grad()
def test_captions_and_scores_are_those_of_transformers(
    beams: int, alpha: float, ngram: int
) -> None:
    captioner, grid = a_captioner(2, words=12), torch.randn(12, 5, 6)
    theirs = AsPretrained(captioner, grid).generate(
        torch.full((12, 1), BOS),
        images=torch.arange(12),
        num_beams=beams,
        length_penalty=alpha,
        no_repeat_ngram_size=ngram,
        early_stopping="never",
        max_new_tokens=12,
        use_cache=False,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found, scores = beam_search(
        captioner,
        captioner.memory(grid),
        12,
        beams=beams,
        length_penalty=alpha,
        no_repeat_ngram=ngram,
    )
    expected = theirs.sequences[:, 1:]  # (B, t), padded with EOS
    expected = expected.masked_fill(~through_eos(expected, EOS), PAD)
    assert torch.equal(found[:, : expected.shape[-1]], expected)
    assert (found[:, expected.shape[-1] :] == PAD).all()
    torch.testing.assert_close(scores, theirs.sequences_scores)
    assert len({tuple(row) for row in found.tolist()}) > 3


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@torch.no_grad()
def test_a_batch_finds_what_its_images_find_one_by_one(alpha: float) -> None:
    captioner, grid = a_captioner(3, words=8), torch.randn(8, 5, 6)
    together, scores = beam_search(
        captioner, captioner.memory(grid), 12, beams=3, length_penalty=alpha
    )
    assert len({int((row != PAD).sum()) for row in together}) > 1  # some are done before others
    for i in range(8):
        memory = captioner.memory(grid[i : i + 1])
        alone, score = beam_search(captioner, memory, 12, beams=3, length_penalty=alpha)
        assert torch.equal(together[i], alone[0])
        torch.testing.assert_close(scores[i], score[0])


@torch.no_grad()
def test_no_eos_is_forced_at_the_length_limit() -> None:
    captioner = a_captioner(4)
    captioner.final_norm.bias.copy_(-10 * captioner.embedding.weight[EOS])
    grid = torch.randn(3, 5, 6)
    found, scores = beam_search(captioner, captioner.memory(grid), T, beams=3)
    assert not torch.isin(found, torch.tensor([PAD, BOS, EOS, UNK])).any()
    torch.testing.assert_close(scores, scores_of(captioner, grid, found[:, None], 0)[:, 0])


@torch.no_grad()
def test_no_ngram_is_said_twice() -> None:
    captioner = a_captioner(5, words=4)
    captioner.final_norm.bias.copy_(-10 * captioner.embedding.weight[EOS])
    memory = captioner.memory(torch.randn(6, 5, 6))
    for ngram in (1, 2):
        found, _ = beam_search(captioner, memory, 12, beams=3, no_repeat_ngram=ngram)
        for row in found.tolist():
            words = [token for token in row if token not in {EOS, PAD}]
            said = list(itertools.pairwise(words)) if ngram == 2 else words
            assert len(said) == len(set(said))


@torch.no_grad()
def test_it_decodes_without_dropout_and_restores_the_mode() -> None:
    captioner = a_captioner(6)
    captioner.dropout.p = 0.5
    memory = captioner.memory(torch.randn(3, 5, 6))
    expected, _ = beam_search(captioner, memory, T, beams=3)
    captioner.train()
    found, _ = beam_search(captioner, memory, T, beams=3)
    assert torch.equal(found, expected)
    assert captioner.training


def test_no_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="beams is 0, expected 1 or more"):
        beam_search(a_captioner(0), SimpleNamespace(), T, beams=0)
