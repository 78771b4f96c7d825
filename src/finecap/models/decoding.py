"""Autoregressive decoding over one cached `step`: greedy rows and sampled rows in the same pass.

Gradient never flows here; self-critical training scores the drawn captions afterwards in one
teacher-forced pass. An EOS is never forced at the length limit: a row without one is cut off, and
says so by having none.
"""

import torch
from torch import Tensor

from finecap.data.tokenizer import BOS, EOS, PAD
from finecap.models.captioner import Captioner


@torch.no_grad()
def decode(
    captioner: Captioner,
    grid: Tensor,
    max_tokens: int,
    *,
    samples: int = 0,
    greedy: bool = True,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Captions of B images, greedy and sampled side by side on one set of image keys and values.

    The model decodes in eval mode whatever mode it is in, so dropout favours neither kind.

    Args:
        captioner: the policy.
        grid: (B, P, C), image features.
        max_tokens: T, words and EOS.
        samples: K, sampled captions per image.
        greedy: whether row 0 of each image is its greedy caption.
        temperature: of sampled rows.
        generator: of sampled rows.

    Returns:
        (B, K + greedy, T) integer, PAD after the first EOS. T may be shorter than `max_tokens`.
    """
    rows = samples + int(greedy)
    if rows < 1:
        raise ValueError("nothing to decode: expected samples >= 1 or greedy=True")
    was_training = captioner.training
    captioner.eval()
    state = captioner.begin(grid, rows)
    previous = torch.full((len(grid), rows), BOS, dtype=torch.long, device=grid.device)
    ended = torch.zeros_like(previous, dtype=torch.bool)
    tokens: list[Tensor] = []
    for _ in range(max_tokens):
        logits = captioner.step(previous, state).float()  # (B, rows, V)
        chosen = _choose(logits, greedy, temperature, generator).masked_fill(ended, PAD)
        tokens.append(chosen)
        ended |= chosen == EOS
        if bool(ended.all()):
            break
        previous = chosen
    captioner.train(was_training)
    return torch.stack(tokens, dim=-1)  # T x (B, rows) -> (B, rows, T)


def _choose(
    logits: Tensor, greedy: bool, temperature: float, generator: torch.Generator | None
) -> Tensor:
    """The next token of each row: argmax for row 0 if `greedy`, else a draw. (B, rows)."""
    B, rows, V = logits.shape
    first = logits[:, :1].argmax(-1) if greedy else logits.new_empty((B, 0), dtype=torch.long)
    if rows == first.shape[1]:
        return first
    probs = (logits[:, first.shape[1] :] / temperature).softmax(-1)  # (B, K, V)
    drawn = torch.multinomial(probs.reshape(-1, V), 1, generator=generator)
    return torch.cat([first, drawn.reshape(B, -1)], dim=1)


def to_captions(captioner: Captioner, tokens: Tensor) -> list[list[str]]:
    """Words of (B, rows, T) tokens, one list of captions per image."""
    return [[captioner.tokenizer.decode(row) for row in image] for image in tokens.tolist()]


def caption_grids(captioner: Captioner, grid: Tensor, max_tokens: int) -> list[str]:
    """Greedy captions of grid features (B, P, C)."""
    tokens = decode(captioner, grid, max_tokens)
    return [rows[0] for rows in to_captions(captioner, tokens)]
