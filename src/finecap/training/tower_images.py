"""What contrastive training sees of images, and what it asks of them beside the contrast.

A tower that learns sees pixels at every step; of one that is frozen, in whole or in part, features
are computed once.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finecap.data.pixels import Pixels
from finecap.data.tokenizer import UNK
from finecap.log import Log
from finecap.losses import word_targets
from finecap.models import towers
from finecap.models.clip import ClipEncoder

_MAX_TARGET_TOKENS = 128  # of all texts of one image together


class TowerImages:
    """Image features of table rows, through the whole tower or from what is frozen of it."""

    def __init__(self, encoder: ClipEncoder, pixels: Pixels, log: Log) -> None:
        self.encoder, self.pixels = encoder, pixels
        self.trunk: Tensor | None = None  # (N, C)
        self.vectors: Tensor | None = None  # (N, D)
        if encoder.config.image_trainable:
            return
        encoder.eval()
        visual = cast(Any, encoder.model).visual
        if encoder.architecture is not None:
            visual.requires_grad_(False)
            self.vectors = self._frozen(lambda seen: encoder.image_forward(seen).features, log)
        elif not hasattr(visual, "trunk"):
            raise ValueError("`image_trainable: false` needs `image_tower: timm` with a checkpoint")
        else:
            # `freeze_bn_stats` would drop the activations of timm's BatchNormAct2d. Statistics
            # stay as they are anyway: the trunk runs once, in eval mode.
            visual.lock(freeze_bn_stats=False)
            trunk = visual.trunk
            self.trunk = self._frozen(lambda x: trunk.forward_head(trunk.forward_features(x)), log)

    def forward(self, rows: np.ndarray) -> towers.ImageOutput:
        """Grid (B, P, C; of a frozen tower one cell, its features) and unit vectors (B, D)."""
        if self.vectors is not None:
            features = self.vectors[rows]
            return towers.ImageOutput(features[:, None], features)
        if self.trunk is not None:
            pooled = self.trunk[rows]
            head = cast(Any, self.encoder.model).visual.head
            dropout = self.encoder.config.feature_dropout
            pooled = F.dropout(pooled, dropout, training=head.training)
            return towers.ImageOutput(pooled[:, None], F.normalize(head(pooled).float(), dim=-1))
        pixel_values = self.encoder.pixel_values(np.asarray(self.pixels[rows]))
        return self.encoder.image_forward(
            pixel_values.contiguous(memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def _frozen(self, tower: Callable[[Tensor], Tensor], log: Log) -> Tensor:
        """What a frozen tower gives for every image, (N, ...)."""
        seen: list[Tensor] = []
        size = self.encoder.images_at_once
        for start in range(0, len(self.pixels), size):
            rows = np.asarray(self.pixels[start : start + size])
            seen.append(tower(self.encoder.pixel_values(rows)))
            if start // size % 250 == 0:
                log(f"frozen image tower {start}/{len(self.pixels)}")
        return torch.cat(seen)


class NamedWords(nn.Module):
    """Predicts the words of an image's texts from the mean of its grid; gone after training."""

    targets: Tensor

    def __init__(self, encoder: ClipEncoder, texts: Sequence[str]) -> None:
        """Made for `texts`, one of each image: all that is said of it."""
        super().__init__()
        tokenizer = encoder.tokenizer
        ids = torch.from_numpy(tokenizer.encode_batch(texts, _MAX_TARGET_TOKENS))
        targets = word_targets(ids, len(tokenizer), UNK + 1)  # (N, V)
        C = towers.grid_channels(encoder.model, encoder.config.image_size)
        self.norm, self.project = nn.LayerNorm(C), nn.Linear(C, len(tokenizer))
        self.register_buffer("targets", targets, persistent=False)
        self.to(encoder.device)

    def forward(self, grid: Tensor) -> Tensor:
        """Logits of the words: (B, P, C) -> (B, V)."""
        return self.project(self.norm(grid.float().mean(1)))
