"""Autoregressive decoding over one cached `step`: greedy rows and sampled rows in the same pass.

Gradient never flows here; self-critical training scores the drawn captions afterwards in one
teacher-forced pass. An EOS is never forced at the length limit: a row without one is cut off, and
says so by having none.

Why sampling takes its uniform numbers as an argument: a caption then depends on its own image and
numbers alone, so that any split of a batch over parts or processes draws the same captions.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from finecap.models.captioner import Captioner


@torch.no_grad()
def decode(
    captioner: Captioner,
    memory: Any,
    max_tokens: int,
    *,
    greedy: bool = True,
    uniforms: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Captions of B images, greedy and sampled side by side on one set of image keys and values.

    The model decodes in eval mode whatever mode it is in, so dropout favours neither kind.

    Args:
        captioner: the policy.
        memory: of B images, as `captioner.memory` gives it.
        max_tokens: T, words and EOS.
        greedy: whether row 0 of each image is its greedy caption.
        uniforms: (B, K, >= T) in (0, 1], one for each token of K sampled captions per image.
        temperature: of sampled rows.

    Returns:
        (B, K + greedy, T) integer, PAD after the first EOS. T may be shorter than `max_tokens`.
    """
    K = 0 if uniforms is None else uniforms.shape[1]
    rows = K + int(greedy)
    if rows < 1:
        raise ValueError("nothing to decode: expected `uniforms` of K >= 1 samples or greedy=True")
    with eval_mode(captioner):
        state = captioner.begin(memory, rows)
        bos, eos, pad = captioner.tokenizer.bos, captioner.tokenizer.eos, captioner.tokenizer.pad
        previous = torch.full((len(memory), rows), bos, dtype=torch.long, device=captioner.device)
        ended = torch.zeros_like(previous, dtype=torch.bool)
        tokens: list[Tensor] = []
        for t in range(max_tokens):
            logits = captioner.step(previous, state).float()  # (B, rows, V)
            chosen = logits[:, : int(greedy)].argmax(-1)  # (B, 0 or 1)
            if uniforms is not None:
                sampled = sample(logits[:, int(greedy) :] / temperature, uniforms[..., t])
                chosen = torch.cat([chosen, sampled], dim=1)
            previous = chosen.masked_fill(ended, pad)
            tokens.append(previous)
            ended |= previous == eos
            if bool(ended.all()):
                break
    return torch.stack(tokens, dim=-1)  # T x (B, rows) -> (B, rows, T)


@contextmanager
def eval_mode(captioner: Captioner) -> Generator[None]:
    """Dropout off inside, the captioner's own mode again after."""
    was_training = captioner.training
    captioner.eval()
    try:
        yield
    finally:
        captioner.train(was_training)


def sample(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Tokens drawn by inverting the cumulative distribution.

    Args:
        logits: (..., V), -inf for tokens that may not be chosen.
        uniforms: (...) in (0, 1].

    Returns:
        (...) the first token whose cumulative probability reaches the number: one of positive
        probability, since 0 is not among the numbers.
    """
    cumulative = logits.softmax(-1).cumsum(-1)  # (..., V)
    reached = uniforms[..., None].to(cumulative) * cumulative[..., -1:]
    return torch.searchsorted(cumulative, reached).squeeze(-1)


def to_captions(captioner: Captioner, tokens: Tensor) -> list[list[str]]:
    """Words of (B, rows, T) tokens, one list of captions per image."""
    return [[captioner.tokenizer.decode(row) for row in image] for image in tokens.tolist()]


def caption_inputs(captioner: Captioner, inputs: Tensor, max_tokens: int) -> list[str]:
    """Greedy captions of what `captioner` reads: grids (B, P, C) or pixel values (B, 3, H, W)."""
    with torch.no_grad(), eval_mode(captioner):
        memory = captioner.memory(inputs.to(captioner.device))
        tokens = decode(captioner, memory, max_tokens)
    return [rows[0] for rows in to_captions(captioner, tokens)]
