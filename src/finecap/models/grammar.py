"""The grammar network g(c): how grammatical a caption is.

A head on a pooled text feature, as published; the feature comes from CLIP's text tower, tuned
jointly, or from a small recurrent tower of the head's own.

Why recurrent: local order is what grammar is about here, and a GRU starts from it, while a small
Transformer must first learn what "the word before" means. Held-out accuracy on the drawn world's
corruptions after 300 steps: GRU 0.990 in 30 CPU s, CLIP's own tower 0.72 in 195 CPU s.
"""

import torch
from torch import Tensor, nn

from finecap.data.tokenizer import EOS


class GrammarHead(nn.Module):
    """A multi-layer perceptron with a sigmoid on the pooled text feature (Cho et al. 2022, 3.2).

    It sees captions with the prompt, in training and in scoring alike.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits of "grammatical": (N, W) -> (N,)."""
        return self.layers(pooled).squeeze(-1)


class RecurrentTower(nn.Module):
    """Token ids to one feature: embedding, GRU, its state at the EOS."""

    def __init__(self, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, W)."""
        states, _ = self.recurrent(self.embedding(tokens))  # (N, T, W)
        at = (tokens == EOS).int().argmax(-1)
        return states[torch.arange(len(states), device=states.device), at]
