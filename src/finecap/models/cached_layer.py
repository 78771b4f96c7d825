"""One token at a time through a Transformer decoder: cached keys and values, no gradient.

The same numbers as the layer's own teacher-forced pass, written for a single new token per row:
weights are packed once per decode (`PackedLinear`), the image's keys and values are laid out once
as they are multiplied, and attention of few queries is two batched products.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.models.linear import PackedLinear

if TYPE_CHECKING:
    from finecap.models.transformer import DecoderLayer

_SMALL_PRODUCT = 400
"""Multiplications below which PyTorch's batched product is its own loop, not MKL's."""


@dataclass
class CachedDecoding:
    """What a cached decode carries from token to token.

    Attributes:
        layers: with the keys and values of the tokens so far.
        to_logits: (N, W) -> (N, V), tokens that may not be chosen at -inf.
        length: tokens so far.
    """

    layers: list["CachedLayer"]
    to_logits: PackedLinear
    length: int = 0
    is_static: ClassVar[bool] = False

    def reorder(self, parents: Tensor) -> None:
        """Row r of each image goes on from what its row `parents[b, r]` was; (B, rows)."""
        B, rows = parents.shape
        first = torch.arange(B, device=parents.device)[:, None] * rows
        for layer in self.layers:
            layer.reorder((first + parents).flatten(), self.length)

    def keep(self, images: Tensor) -> None:
        """Go on with these images alone, given by their places (b,) among those so far."""
        for layer in self.layers:
            layer.keep(images, self.length)


class CachedLayer:
    """A decoder layer, the image it looks at, and the tokens it has seen: N = B * rows rows."""

    def __init__(
        self, layer: "DecoderLayer", image: tuple[Tensor, Tensor], rows: int, room: int
    ) -> None:
        """Nothing seen yet.

        Args:
            layer: whose weights, as they are now, are used.
            image: keys and values of B images, each (B, heads, P, W / heads).
            rows: captions of each image.
            room: tokens there is place for.
        """
        B, heads, P, d = image[0].shape
        self.rows, self.heads, self.per_head = rows, heads, d
        self.norms = layer.norm_self, layer.norm_image, layer.norm_feed
        self.query_key_value, self.project_self, self.image_query, self.project_image = (
            PackedLinear(linear.weight, linear.bias, B * rows)
            for linear in (
                layer.query_key_value,
                layer.project_self,
                layer.image_query,
                layer.project_image,
            )
        )
        self.up, self.down = (
            PackedLinear(linear.weight, linear.bias, B * rows)
            for linear in (layer.feed.up, layer.feed.down)
        )
        # (B, heads, P, d) -> (B * heads, P, d)
        self.image_keys, self.image_values = (part.reshape(B * heads, P, d) for part in image)
        self.keys, self.values = (image[0].new_empty(B * rows, heads, room, d) for _ in range(2))

    def step(self, x: Tensor, t: int) -> Tensor:
        """What the layer makes of token `t` of each row: (N, W) in and out."""
        norm_self, norm_image, norm_feed = self.norms
        x = self.project_self.plus(self._attend_words(norm_self(x), t), x)
        x = self.project_image.plus(self._attend_image(norm_image(x)), x)
        return self.down.plus(self.up.gelu(norm_feed(x)), x)

    def reorder(self, chosen: Tensor, length: int) -> None:
        """Row n goes on from what row `chosen[n]` was; `length` tokens were seen."""
        for cache in (self.keys, self.values):
            cache[:, :, :length] = cache[chosen, :, :length]

    def keep(self, images: Tensor, length: int) -> None:
        """Go on with the rows of these images alone; `length` tokens were seen."""
        self.image_keys, self.image_values = (
            part.unflatten(0, (-1, self.heads))[images].flatten(0, 1)
            for part in (self.image_keys, self.image_values)
        )  # (B * heads, P, d) -> (b * heads, P, d)
        of_image = torch.arange(self.rows, device=images.device)
        chosen = (images[:, None] * self.rows + of_image).flatten()  # (b * rows,)
        self.keys, self.values = (
            _rows_of(cache, chosen, length) for cache in (self.keys, self.values)
        )

    def _attend_words(self, x: Tensor, t: int) -> Tensor:
        """Each row's attention over its own tokens, the new one included: (N, W) in and out."""
        N, W = x.shape
        parts = self.query_key_value(x).view(N, 3, self.heads, self.per_head)
        q, self.keys[:, :, t], self.values[:, :, t] = parts.unbind(1)  # 3 x (N, heads, d)
        keys, values = (
            cache.flatten(0, 1)[:, : t + 1] for cache in (self.keys, self.values)
        )  # (N, heads, room, d) -> (N * heads, t + 1, d)
        return _attention(q.reshape(N * self.heads, 1, -1), keys, values).view(N, W)

    def _attend_image(self, x: Tensor) -> Tensor:
        """All rows of an image are queries of one attention over its cells: (N, W) in and out."""
        N, W = x.shape
        split = (N // self.rows, self.rows, self.heads, self.per_head)
        q = self.image_query(x).view(split).transpose(1, 2)  # (N, W) -> (B, heads, rows, d)
        seen = _attention(q.flatten(0, 1), self.image_keys, self.image_values)
        return seen.view(q.shape).transpose(1, 2).reshape(N, W)


def _rows_of(cache: Tensor, chosen: Tensor, length: int) -> Tensor:
    """A cache of the chosen rows alone, filled up to `length`: (N, heads, room, d) -> (n, ...)."""
    kept = cache.new_empty(len(chosen), *cache.shape[1:])
    kept[:, :, :length] = cache[chosen, :, :length]
    return kept


def _attention(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax(q K^T / sqrt(d)) V (Vaswani et al. 2017, equation 1).

    Why not `scaled_dot_product_attention` throughout: for one query of each of 64 images with 49
    cells and 8 heads of 64 it takes 2.0 ms, two batched products 0.4 ms; for 3 queries 2.3 and 1.5
    ms, for 5 as much (one core). Products that are very small PyTorch leaves to a slow loop.

    Args:
        q: (M, L, d).
        keys: (M, S, d).
        values: (M, S, d).

    Returns:
        (M, L, d).
    """
    if q.shape[1] * keys.shape[1] * q.shape[2] < _SMALL_PRODUCT:
        return F.scaled_dot_product_attention(q[None], keys[None], values[None])[0]
    weights = torch.bmm(q * q.shape[-1] ** -0.5, keys.transpose(1, 2)).softmax(-1)  # (M, L, S)
    return torch.bmm(weights, values)
