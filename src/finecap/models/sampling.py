"""How a token is drawn from logits, and what may be kept from being drawn: pure functions.

`nucleus` and `without_repeats` change the distribution, so they are for captions that people read.
Self-critical training draws at temperature alone: a token masked while sampling would have to be
masked in the teacher-forced softmax too, or its gradient would be that of another policy.
"""

import torch
from torch import Tensor

_NEVER = float("-inf")


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


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Logits of the likeliest tokens that together have probability `top_p`; -inf for the others.

    The smallest such set (Holtzman et al. 2020, section 3.1): the token that reaches `top_p` is in
    it, so there is always one.

    Args:
        logits: (..., V).
        top_p: in (0, 1]; 1 keeps all.

    Returns:
        (..., V).
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}, expected a share in (0, 1]")
    if top_p == 1:
        return logits
    falling, order = logits.sort(-1, descending=True)  # (..., V)
    probabilities = falling.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # of all likelier tokens
    kept = falling.masked_fill(before >= top_p, _NEVER)
    return torch.empty_like(logits).scatter_(-1, order, kept)


def without_repeats(logits: Tensor, tokens: Tensor, ngram: int) -> Tensor:
    """Logits with -inf for every token that would complete an n-gram said before.

    Paulus et al. 2018, section 2.5, with trigrams.

    Args:
        logits: (..., V) of the next token.
        tokens: (..., t) so far, BOS left out.
        ngram: n; 0 forbids nothing.

    Returns:
        (..., V).
    """
    if ngram < 0:
        raise ValueError(f"ngram is {ngram}, expected 1 or more, or 0 to forbid nothing")
    t = tokens.shape[-1]
    if ngram == 0 or t < ngram:
        return logits
    said = tokens.unfold(-1, ngram, 1)  # (..., t) -> (..., t - n + 1, n)
    begun = tokens[
        ..., None, t - ngram + 1 :
    ]  # (..., 1, n - 1): what the next token would complete
    again = (said[..., :-1] == begun).all(-1)  # (..., t - n + 1)
    penalty = torch.zeros_like(logits[..., :1]).masked_fill(again, _NEVER)
    return logits.scatter_add(-1, said[..., -1], penalty)
