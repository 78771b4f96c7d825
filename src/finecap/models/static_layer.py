"""One token at a time through a Transformer decoder in shapes that never change, no gradient.

What `cached_layer` does for a CPU, laid out for a GPU, where a token's few small products take less
time than it takes to launch them one by one: a step that always is the same kernels over the same
memory can be recorded once and replayed (CUDA graphs), or compiled. So place is allocated for all
tokens at once, the token's number is a tensor on the device, attention reads the whole place under
a mask, and nothing in a step asks the host. The price is attention to words that are not there yet.

Weights are copied when a decode begins, in the precision in which they are multiplied: a step would
otherwise cast all of them anew for each token. What is compiled, and for which shapes, is
`compiled`'s.
"""

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from finecap.models.transformer import DecoderLayer, ImageMemory, TransformerCaptioner


class StaticDecoder(nn.Module):
    """A decoder with place for captions of one shape: `rows` of each of B images, N = B * rows.

    It is no part of a saved model. What it shares with the captioner (norms, embedding) it reads
    where the captioner has it; all else are buffers, which `start` fills. A call takes no argument:
    a tensor that is not always at one place would be copied there by a recorded graph.

    Attributes:
        previous: (B, rows), written before each call.
        position: (1,), of those words; each call adds 1.
        places: (room,), all positions.
    """

    previous: Tensor
    position: Tensor
    places: Tensor

    def __init__(
        self,
        captioner: "TransformerCaptioner",
        memory: "ImageMemory",
        rows: int,
        dtype: torch.dtype,
    ) -> None:
        """Place, not yet filled.

        Args:
            captioner: whose decoder it is.
            memory: of as many images, as large and as precise as those to come.
            rows: captions of each image.
            dtype: of the products.
        """
        super().__init__()
        room, device = captioner.shape.max_tokens + 1, captioner.device
        self.embedding, self.positions = captioner.embedding, captioner.positions
        self.final_norm = captioner.final_norm
        forbidden = cast(Tensor, captioner.forbidden)
        self.to_logits = _Product(captioner.embedding.weight, forbidden, dtype)
        layers = cast("list[DecoderLayer]", list(captioner.decoder))
        self.layers = nn.ModuleList(
            _StaticLayer(layer, image, rows, room, dtype)
            for layer, image in zip(layers, memory.keys_values, strict=True)
        )
        previous = torch.zeros(len(memory), rows, dtype=torch.long, device=device)
        self.register_buffer("previous", previous)
        self.register_buffer("position", torch.zeros(1, dtype=torch.long, device=device))
        self.register_buffer("places", torch.arange(room, device=device))

    @torch.no_grad()
    def start(self, memory: "ImageMemory") -> None:
        """Nothing said yet of these images, by the weights as they are now."""
        self.position.zero_()
        self.to_logits.copy()
        for layer, image in zip(self._own_layers(), memory.keys_values, strict=True):
            layer.start(image)

    def forward(self) -> Tensor:
        """Logits (B, rows, V) after the words in `previous`, which become the last ones."""
        # (B, rows) -> (N, W)
        x = self.embedding(self.previous.flatten()) + self.positions[self.position]
        is_said = self.places <= self.position  # (room,)
        for layer in self._own_layers():
            x = layer(x, self.position, is_said)
        self.position.add_(1)
        return self.to_logits(self.final_norm(x)).view(*self.previous.shape, -1)

    @torch.no_grad()
    def reorder(self, chosen: Tensor) -> None:
        """Row n goes on from what row `chosen[n]` was; (N,)."""
        for layer in self._own_layers():
            for cache in (layer.keys, layer.values):
                cache.copy_(cache[chosen])

    def _own_layers(self) -> "list[_StaticLayer]":
        """The layers, typed."""
        return cast("list[_StaticLayer]", list(self.layers))


class _StaticLayer(nn.Module):
    """A decoder layer, the images it looks at, and place for the words."""

    keys: Tensor
    values: Tensor
    image_keys: Tensor
    image_values: Tensor

    def __init__(
        self,
        layer: "DecoderLayer",
        image: tuple[Tensor, Tensor],
        rows: int,
        room: int,
        dtype: torch.dtype,
    ) -> None:
        """Place for `room` words of `rows` captions for each image; arguments as `CachedLayer`."""
        super().__init__()
        B, self.heads, P, self.per_head = image[0].shape
        self.rows = rows
        self.norm_self, self.norm_image = layer.norm_self, layer.norm_image
        self.norm_feed = layer.norm_feed
        products = {
            "query_key_value": layer.query_key_value,
            "project_self": layer.project_self,
            "image_query": layer.image_query,
            "project_image": layer.project_image,
            "up": layer.feed.up,
            "down": layer.feed.down,
        }
        self.products = nn.ModuleDict(
            {name: _Product(own.weight, own.bias, dtype) for name, own in products.items()}
        )
        empty = image[0].new_empty
        for name in ("image_keys", "image_values"):
            self.register_buffer(name, empty(B, self.heads, P, self.per_head))
        for name in ("keys", "values"):
            words = empty(B * rows, self.heads, room, self.per_head, dtype=dtype)
            self.register_buffer(name, words)

    def start(self, image: tuple[Tensor, Tensor]) -> None:
        """Copy the weights as they are now and these images; forget all words."""
        for product in self.products.values():
            cast(_Product, product).copy()
        self.image_keys.copy_(image[0])
        self.image_values.copy_(image[1])
        for cache in (self.keys, self.values):
            cache.zero_()  # no number may be left there that a weight of 0 does not silence

    def forward(self, x: Tensor, position: Tensor, is_said: Tensor) -> Tensor:
        """What the layer makes of each row's word at `position` (1,): (N, W) in and out."""
        own = self.products
        seen = self._attend_words(own["query_key_value"](self.norm_self(x)), position, is_said)
        x = x + own["project_self"](seen)
        seen = self._attend_image(own["image_query"](self.norm_image(x)))
        x = x + own["project_image"](seen)
        return x + own["down"](F.gelu(own["up"](self.norm_feed(x))))

    def _attend_words(self, projected: Tensor, position: Tensor, is_said: Tensor) -> Tensor:
        """Each row's attention over its own words, the new one included: (N, 3 W) -> (N, W)."""
        parts = projected.view(len(projected), 3, self.heads, 1, self.per_head)
        q, k, v = parts.unbind(1)  # 3 x (N, heads, 1, d)
        self.keys.index_copy_(2, position, k)
        self.values.index_copy_(2, position, v)
        seen = F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=is_said[None])
        return seen.flatten(1)  # (N, heads, 1, d) -> (N, W)

    def _attend_image(self, projected: Tensor) -> Tensor:
        """All rows of an image are queries of one attention over its cells: (N, W) in and out."""
        split = (-1, self.rows, self.heads, self.per_head)
        q = projected.view(split).transpose(1, 2)  # (N, W) -> (B, heads, rows, d)
        seen = F.scaled_dot_product_attention(q, self.image_keys, self.image_values)
        return seen.transpose(1, 2).reshape(projected.shape)


class _Product(nn.Module):
    """A linear map by a copy of its weights in another precision."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self._sources = weight, bias  # in a tuple, so that they do not become parameters of this
        self.register_buffer("weight", torch.empty_like(weight, dtype=dtype, requires_grad=False))
        self.register_buffer("bias", torch.empty_like(bias, dtype=dtype, requires_grad=False))

    def copy(self) -> None:
        """The weights as they are now."""
        weight, bias = self._sources
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)
