"""Beam search over one cached `step`: the caption with the best score that the beams come by.

    score(w) = log P(w | I) / T^alpha

with T the caption's tokens, EOS included, and alpha the length penalty: Wu et al. 2016 (GNMT),
section 7, in the form of transformers' `generate`, whose results these are (with `early_stopping`
"never": an image is done when no beam of it can come to score better, and not before).

alpha = 0 asks for the likeliest caption, which favours short ones; 1 for the likeliest by token.
Why 0 is the default and not transformers' 1: of three captioners of the default world, 300 images
of val, CIDEr was 2.45, 0.62, 0.73 greedy, with 3 beams 2.46, 0.63, 0.74 at 0 and 2.51, 0.54, 0.72
at 1; and an image is done sooner, since a longer caption cannot come to score better.

More beams are no promise: one may be dropped whose end would have been better, greedy's included,
so that only a beam wide enough for all captions never scores below greedy. An EOS is never forced:
captions cut off at the limit compete as they are. For captions that people read; tables are
greedy. Sampling is `decoding`'s.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finecap.models.captioner import Captioner
from finecap.models.decoding import eval_mode, is_time_to_look, is_worth_closing_up
from finecap.models.sampling import without_repeats

_NEVER = float("-inf")


@torch.no_grad()
def beam_search(
    captioner: Captioner,
    memory: Any,
    max_tokens: int,
    *,
    beams: int,
    length_penalty: float = 0.0,
    no_repeat_ngram: int = 0,
) -> tuple[Tensor, Tensor]:
    """The best caption found for each of B images, and its score.

    Args:
        captioner: decodes in eval mode whatever mode it is in.
        memory: of B images, as `captioner.memory` gives it.
        max_tokens: T, words and EOS.
        beams: N, unfinished captions of an image that are followed at a time; 1 without length
            penalty is greedy.
        length_penalty: alpha; above 0 favours long captions, below 0 short ones.
        no_repeat_ngram: no caption says an n-gram of so many tokens twice; 0: any may.

    Returns:
        Tokens (B, T), integer, PAD after EOS; scores (B,).
    """
    if beams < 1:
        raise ValueError(f"beams is {beams}, expected 1 or more")
    eos = captioner.tokenizer.eos
    best = _Best.of(len(memory), max_tokens, captioner)
    left = torch.arange(len(memory), device=captioner.device)  # images that are not done
    going = _Beams.of(len(memory), beams, captioner)
    with eval_mode(captioner):
        state = captioner.begin(memory, beams)
        for t in range(max_tokens):
            log_probs = captioner.step(going.previous, state).float().log_softmax(-1)  # (b, N, V)
            log_probs = without_repeats(log_probs, going.tokens[..., 1:], no_repeat_ngram)
            found, parents = going.continued(log_probs)  # 2N continuations, the best first
            is_over = (found.previous == eos) | (t + 1 == max_tokens)  # (b, 2N)
            # Beyond the N best they are but a reserve for beams that end: as transformers has it.
            ended = found.scores.masked_fill(~is_over, _NEVER)[:, :beams]
            best.offer(left, found.tokens[:, :beams, 1:], ended / (t + 1) ** length_penalty)
            going, chosen = found.best(found.scores.masked_fill(is_over, _NEVER), beams)
            state.reorder(parents.gather(1, chosen))
            if not is_time_to_look(t, state, captioner.device):
                continue  # an image that is done finds nothing better
            # Log-probabilities only fall: no beam can score above this.
            length = max_tokens if length_penalty > 0 else t + 2
            bound = going.scores[:, 0] / length**length_penalty
            undone = (bound > best.scores[left]).nonzero().flatten()
            if not len(undone):
                break
            if is_worth_closing_up(undone, left, state):
                state.keep(undone)
                left, going = left[undone], _Beams(going.tokens[undone], going.scores[undone])
    return best.tokens, best.scores


@dataclass
class _Beams:
    """Unfinished captions, the best first."""

    tokens: Tensor  # (b, N, 1 + t), from BOS on
    scores: Tensor  # (b, N) log-probabilities

    @classmethod
    def of(cls, B: int, beams: int, captioner: Captioner) -> "_Beams":
        """One beam that has said nothing; the others would say the same, so they count as lost."""
        shape, device = (B, beams), captioner.device
        tokens = torch.full((*shape, 1), captioner.tokenizer.bos, device=device)
        scores = torch.full(shape, _NEVER, device=device)
        scores[:, 0] = 0
        return cls(tokens, scores)

    @property
    def previous(self) -> Tensor:
        """The last tokens (b, N)."""
        return self.tokens[..., -1]

    def continued(self, log_probs: Tensor) -> tuple["_Beams", Tensor]:
        """The 2N best with one more token, of log-probability (b, N, V), and their parents (b, 2N).

        Twice as many as beams, so that N go on even if each beam's best token is EOS.
        """
        V, N = log_probs.shape[-1], self.scores.shape[1]
        total = (self.scores[..., None] + log_probs).flatten(1)  # (b, N, V) -> (b, N * V)
        scores, place = total.topk(2 * N)  # (b, 2N)
        parents = place // V
        told = self.tokens.gather(1, parents[..., None].expand(-1, -1, self.tokens.shape[-1]))
        return _Beams(torch.cat([told, (place % V)[..., None]], -1), scores), parents

    def best(self, scores: Tensor, beams: int) -> tuple["_Beams", Tensor]:
        """The beams (b, `beams`) that are best by `scores`, and which of these they were."""
        top, chosen = scores.topk(beams)
        tokens = self.tokens.gather(1, chosen[..., None].expand(-1, -1, self.tokens.shape[-1]))
        return _Beams(tokens, top), chosen


@dataclass
class _Best:
    """The best finished caption of each image so far."""

    tokens: Tensor  # (B, T)
    scores: Tensor  # (B,)

    @classmethod
    def of(cls, B: int, max_tokens: int, captioner: Captioner) -> "_Best":
        """No caption yet."""
        tokens = torch.full((B, max_tokens), captioner.tokenizer.pad, device=captioner.device)
        return cls(tokens, torch.full((B,), _NEVER, device=captioner.device))

    def offer(self, images: Tensor, tokens: Tensor, scores: Tensor) -> None:
        """Take over what is better: tokens (b, N, t) and scores (b, N) of those images (b,)."""
        top, place = scores.max(1)  # (b,)
        t, so_far = tokens.shape[-1], self.scores[images]
        is_better = top > so_far
        at = place[:, None, None].expand(-1, 1, t)
        winners = tokens.gather(1, at).squeeze(1)  # (b, N, t) -> (b, t)
        # Chosen without asking the host which: on a GPU it would wait.
        self.tokens[images, :t] = torch.where(is_better[:, None], winners, self.tokens[images, :t])
        self.scores[images] = torch.where(is_better, top, so_far)
