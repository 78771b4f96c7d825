"""Pooled text features without gradient: nothing is computed twice, or for nobody.

A reward encodes hundreds of short texts a step, each with the prompt in front. In a causal tower
the states of a token do not depend on what follows: those of the tokens that all texts begin with
are computed once, and the last layer is computed at the end of each text alone, where it is read.
Same result as `towers.pooled_text`; with 20 words after the prompt, 0.75 of its time.
"""

from typing import Any

import torch
from torch import Tensor

from finecap.models import towers


@torch.no_grad()
def pooled_text(tower: Any, tokens: Tensor) -> Tensor:
    """The text feature before projection, (N, T) -> (N, W)."""
    if not towers.reads_to_eos(tower):
        return towers.pooled_text(tower, tokens)
    T = tokens.shape[1]
    at = towers.end_of_text(tower, tokens)  # (N,)
    S = shared_tokens(tokens, at)
    x = tower.token_embedding(tokens[:, S:]) + tower.positional_embedding[S:T]  # (N, T - S, W)
    prompt = tower.token_embedding(tokens[:1, :S]) + tower.positional_embedding[:S]  # (1, S, W)
    causal = tower.attn_mask[:T, :T]
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        prompt_keys = block.ln_1(prompt)
        x = _block(block, x, prompt_keys, causal[S:])
        prompt = _block(block, prompt, prompt_keys[:, :0], causal[:S, :S])
    return tower.ln_final(_at_end(last, x, last.ln_1(prompt), at - S)).squeeze(1)


def shared_tokens(tokens: Tensor, at: Tensor) -> int:
    """S, how many tokens all texts begin with; the end of none is among them."""
    alike = (tokens == tokens[:1]).all(0).cumprod(0).sum()
    return int(torch.minimum(alike, at.min()))


def _block(block: Any, x: Tensor, prompt_keys: Tensor, mask: Tensor) -> Tensor:
    """A residual block whose tokens also attend to the prompt's: (N, T, W) in and out.

    Args:
        block: of open_clip's transformer.
        x: (N, T, W).
        prompt_keys: (1, S, W), normalised.
        mask: (T, S + T), additive.
    """
    own = block.ln_1(x)
    keys = torch.cat([prompt_keys.expand(len(x), -1, -1), own], 1)  # (N, S + T, W)
    x = x + block.ls_1(block.attention(own, keys, keys, mask))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def _at_end(block: Any, x: Tensor, prompt_keys: Tensor, at: Tensor) -> Tensor:
    """The last block at token `at` (N,) of each text alone: (N, T, W) -> (N, 1, W)."""
    own = block.ln_1(x)
    keys = torch.cat([prompt_keys.expand(len(x), -1, -1), own], 1)  # (N, S + T, W)
    rows = torch.arange(len(x), device=x.device)
    end, S = x[rows, at][:, None], prompt_keys.shape[1]
    after = torch.arange(keys.shape[1], device=x.device) > (S + at)[:, None]  # (N, S + T)
    mask = torch.zeros_like(after, dtype=x.dtype).masked_fill(after, float("-inf"))
    mask = mask[:, None].repeat_interleave(block.attn.num_heads, 0)  # (N * heads, 1, S + T)
    end = end + block.ls_1(block.attention(own[rows, at][:, None], keys, keys, mask))
    return end + block.ls_2(block.mlp(block.ln_2(end)))
