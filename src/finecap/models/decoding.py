"""Autoregressive decoding over one cached `step`: greedy rows and sampled rows in the same pass.

Gradient never flows here; self-critical training scores the drawn captions afterwards in one
teacher-forced pass. An EOS is never forced at the length limit: a row without one is cut off, and
says so by having none. Beam search is `beam`'s; what people read (one good caption, or several
different ones) is asked for by `captions`.

Training and evaluation use temperature alone and greedy alone. `top_p` and `no_repeat_ngram` are
for reading: they change the distribution that is sampled, of which teacher forcing knows nothing.

Why sampling takes its uniform numbers as an argument: a caption then depends on its own image and
numbers alone, so that any split of a batch over parts or processes draws the same captions.

Why images leave the batch when their captions have ended: in batches of 256 a caption of the
default world has 0.43 of the length of the longest, so that most rows would say padding. A decode
whose shapes are compiled (`compiled`) keeps them all instead; and on a GPU the host looks for ends
only every few tokens, since each look waits until the GPU has done all it was given.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from finecap.models.captioner import Captioner, DecodingState
from finecap.models.sampling import nucleus, sample, without_repeats

_WORTH_CLOSING_UP = 0.75
"""The batch closes up when this share of it goes on, or less: each time their state is copied."""
_TOKENS_BETWEEN_LOOKS = 4
"""On a GPU: at most three tokens are then drawn for nobody."""


@torch.no_grad()
def decode(
    captioner: Captioner,
    memory: Any,
    max_tokens: int,
    *,
    greedy: bool = True,
    uniforms: Tensor | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    no_repeat_ngram: int = 0,
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
        top_p: of sampled rows, after temperature (see `nucleus`); 1 in training.
        no_repeat_ngram: no row says an n-gram of so many tokens twice; 0 in training: any may.

    Returns:
        (B, K + greedy, T) integer, PAD after the first EOS. T may be shorter than `max_tokens`.
    """
    K = 0 if uniforms is None else uniforms.shape[1]
    rows, B = K + int(greedy), len(memory)
    if rows < 1:
        raise ValueError("nothing to decode: expected `uniforms` of K >= 1 samples or greedy=True")
    bos, eos, pad = captioner.tokenizer.bos, captioner.tokenizer.eos, captioner.tokenizer.pad
    tokens = torch.full((B, rows, max_tokens), pad, dtype=torch.long, device=captioner.device)
    previous = torch.full_like(tokens[..., 0], bos)  # (B, rows)
    ended = torch.zeros_like(previous, dtype=torch.bool)
    left = torch.arange(B, device=captioner.device)  # images whose captions go on
    with eval_mode(captioner):
        state = captioner.begin(memory, rows)
        for t in range(max_tokens):
            logits = captioner.step(previous, state).float()  # (b, rows, V)
            if no_repeat_ngram:
                logits = without_repeats(logits, tokens[left, :, :t], no_repeat_ngram)
            chosen = logits[:, : int(greedy)].argmax(-1)  # (b, 0 or 1)
            if uniforms is not None:
                likely = nucleus(logits[:, int(greedy) :] / temperature, top_p)
                chosen = torch.cat([chosen, sample(likely, uniforms[left, :, t])], dim=1)
            previous = chosen.masked_fill(ended, pad)
            tokens[left, :, t] = previous
            ended |= previous == eos
            if not is_time_to_look(t, state, tokens.device):
                continue
            going = (~ended.all(1)).nonzero().flatten()  # (b',)
            if not len(going):
                return tokens[..., : t + 1]
            if is_worth_closing_up(going, left, state):
                state.keep(going)
                left, previous, ended = left[going], previous[going], ended[going]
    return tokens


def is_time_to_look(t: int, state: DecodingState, device: torch.device) -> bool:
    """Whether the host should ask after token `t`, counted from 0, which images go on."""
    is_dear = state.is_static or device.type != "cpu"
    return not is_dear or (t + 1) % _TOKENS_BETWEEN_LOOKS == 0


def is_worth_closing_up(going: Tensor, left: Tensor, state: DecodingState) -> bool:
    """Whether the images that go on are so few of those left in the batch that others should go."""
    return not state.is_static and len(going) <= _WORTH_CLOSING_UP * len(left)


@contextmanager
def eval_mode(captioner: Captioner) -> Generator[None]:
    """Dropout off inside, the captioner's own mode again after."""
    was_training = captioner.training
    captioner.eval()
    try:
        yield
    finally:
        captioner.train(was_training)


def to_captions(captioner: Captioner, tokens: Tensor) -> list[list[str]]:
    """Words of (B, rows, T) tokens, one list of captions per image."""
    return [[captioner.tokenizer.decode(row) for row in image] for image in tokens.tolist()]


def caption_inputs(captioner: Captioner, inputs: Tensor, max_tokens: int) -> list[str]:
    """Greedy captions of what `captioner` reads: grids (B, P, C) or pixel values (B, 3, H, W)."""
    with torch.no_grad(), eval_mode(captioner):
        memory = captioner.memory(inputs.to(captioner.device))
        tokens = decode(captioner, memory, max_tokens)
    return [rows[0] for rows in to_captions(captioner, tokens)]
