"""The default captioner: a Transformer over grid features (Vaswani et al. 2017, pre-norm).

Built for self-critical training. The image's keys and values are projected once per image, not per
sample: K samples of one image are so many query rows of the same attention. Sampling appends to
cached self-attention keys and values; scoring is one teacher-forced pass over all K captions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finecap.data.tokenizer import WordTokenizer
from finecap.models import folder as model_folder
from finecap.models.cached_layer import CachedDecoding, CachedLayer
from finecap.models.captioner import Captioner, never_chosen
from finecap.models.linear import Linear, PackedLinear


@dataclass(frozen=True)
class TransformerShape:
    """Sizes of a `TransformerCaptioner`, as saved beside its weights."""

    grid_channels: int
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    max_tokens: int


@dataclass(frozen=True)
class ImageMemory:
    """Keys and values of B images for each decoder layer."""

    keys_values: list[tuple[Tensor, Tensor]]  # per layer: (B, heads, P, width / heads)
    encoded: Tensor  # (B, P, width), what they are projections of

    def __len__(self) -> int:
        """B."""
        return len(self.keys_values[0][0])


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, W) -> (N, heads, L, W / heads)."""
    N, L, W = x.shape
    return x.view(N, L, heads, W // heads).transpose(1, 2)


def _merge_heads(x: Tensor) -> Tensor:
    """(N, heads, L, W / heads) -> (N, L, W)."""
    return x.transpose(1, 2).flatten(2)


class _FeedForward(nn.Module):
    """Two linear maps with a GELU between, four times as wide."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.up = Linear(width, 4 * width)
        self.down = Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.down(F.gelu(self.up(x))))


class _EncoderLayer(nn.Module):
    """Self-attention over the grid cells of an image."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_self = nn.LayerNorm(shape.width)
        self.query_key_value = Linear(shape.width, 3 * shape.width)
        self.project = Linear(shape.width, shape.width)
        self.norm_feed = nn.LayerNorm(shape.width)
        self.feed = _FeedForward(shape.width, shape.dropout)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.query_key_value(self.norm_self(x)).chunk(3, dim=-1)
        q, k, v = (_split_heads(part, self.heads) for part in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.dropout(self.project(_merge_heads(attended)))
        return x + self.feed(self.norm_feed(x))


class DecoderLayer(nn.Module):
    """Causal self-attention over words, then attention over the image's grid."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_self = nn.LayerNorm(shape.width)
        self.query_key_value = Linear(shape.width, 3 * shape.width)
        self.project_self = Linear(shape.width, shape.width)
        self.norm_image = nn.LayerNorm(shape.width)
        self.image_query = Linear(shape.width, shape.width)
        self.image_key_value = Linear(shape.width, 2 * shape.width)
        self.project_image = Linear(shape.width, shape.width)
        self.norm_feed = nn.LayerNorm(shape.width)
        self.feed = _FeedForward(shape.width, shape.dropout)
        self.dropout = nn.Dropout(shape.dropout)

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Image keys and values of this layer: (B, P, W) -> 2 x (B, heads, P, W / heads)."""
        k, v = self.image_key_value(memory).chunk(2, dim=-1)
        k, v = _split_heads(k, self.heads), _split_heads(v, self.heads)
        if torch.is_grad_enabled():
            return k, v
        return k.contiguous(), v.contiguous()  # as `CachedLayer` wants them, or it would copy

    def self_projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values of words: (N, T, W) -> 3 x (N, heads, T, W / heads)."""
        q, k, v = self.query_key_value(self.norm_self(x)).chunk(3, dim=-1)
        return (
            _split_heads(q, self.heads),
            _split_heads(k, self.heads),
            _split_heads(v, self.heads),
        )

    def finish(self, x: Tensor, attended: Tensor, image: tuple[Tensor, Tensor]) -> Tensor:
        """Everything after self-attention: (B * rows, T, W) in and out.

        All rows and tokens of one image are queries of one attention, so its keys and values are
        never copied per sample.
        """
        x = x + self.dropout(self.project_self(_merge_heads(attended)))
        N, T, W = x.shape
        keys, values = image
        q = self.image_query(self.norm_image(x)).view(
            len(keys), -1, W
        )  # (B * rows, T, W) -> (B, rows * T, W)
        seen = F.scaled_dot_product_attention(_split_heads(q, self.heads), keys, values)
        x = x + self.dropout(self.project_image(_merge_heads(seen).reshape(N, T, W)))
        return x + self.feed(self.norm_feed(x))


def _layers(stack: nn.ModuleList) -> list[DecoderLayer]:
    """A decoder's layers, typed."""
    return cast("list[DecoderLayer]", list(stack))


class TransformerCaptioner(Captioner):
    """Grid features to words."""

    family: ClassVar[str] = "transformer"

    def __init__(self, shape: TransformerShape, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.shape, self.tokenizer, self.max_tokens = shape, tokenizer, shape.max_tokens
        W, V = shape.width, len(tokenizer)
        self.grid_norm = nn.LayerNorm(shape.grid_channels)
        self.grid_project = Linear(shape.grid_channels, W)
        self.encoder = nn.ModuleList(_EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.memory_norm = nn.LayerNorm(W)
        self.embedding = nn.Embedding(V, W)
        self.positions = nn.Parameter(torch.zeros(shape.max_tokens + 1, W))
        self.decoder = self._stack()
        self.final_norm = nn.LayerNorm(W)
        self.dropout = nn.Dropout(shape.dropout)
        self.register_buffer("forbidden", never_chosen(tokenizer), persistent=False)
        nn.init.normal_(self.embedding.weight, std=W**-0.5)
        nn.init.normal_(self.positions, std=0.02)

    def _stack(self) -> nn.ModuleList:
        """New decoder layers."""
        return nn.ModuleList(DecoderLayer(self.shape) for _ in range(self.shape.decoder_layers))

    def memory(self, inputs: Tensor) -> ImageMemory:
        """Keys and values of grids (B, P, C) for each decoder layer."""
        encoded = self.encode(inputs)
        return ImageMemory(self._projected(self.decoder, encoded), encoded)

    def encode(self, grid: Tensor) -> Tensor:
        """The encoder's view of grids: (B, P, C) -> (B, P, W)."""
        if grid.ndim != 3 or grid.shape[-1] != self.shape.grid_channels:  # noqa: PLR2004
            expected = f"(B, P, {self.shape.grid_channels})"
            raise ValueError(f"grid: expected {expected}, came {tuple(grid.shape)}")
        x = self.dropout(self.grid_project(self.grid_norm(grid)))
        for layer in self.encoder:
            x = layer(x)
        return self.memory_norm(x)

    @torch.no_grad()
    def begin(self, memory: ImageMemory, rows: int) -> CachedDecoding:
        """State of a cached decode of `rows` captions per image, by the weights as they are now."""
        room = self.shape.max_tokens + 1
        layers = [
            CachedLayer(layer, image, rows, room)
            for layer, image in zip(_layers(self.decoder), memory.keys_values, strict=True)
        ]
        forbidden = cast(Tensor, self.forbidden)
        to_logits = PackedLinear(self.embedding.weight, forbidden, len(memory) * rows)
        return CachedDecoding(layers, to_logits)

    @torch.no_grad()
    def step(self, previous: Tensor, state: CachedDecoding) -> Tensor:
        """Logits (B, rows, V) after `previous` (B, rows)."""
        t = state.length
        self.check_room(t)
        x = self.embedding(previous.flatten()) + self.positions[t]  # (B, rows) -> (B * rows, W)
        for layer in state.layers:
            x = layer.step(x, t)
        state.length = t + 1
        return state.to_logits(self.final_norm(x)).view(*previous.shape, -1)

    def check_room(self, length: int) -> None:
        """Refuse a token after `length` others where there is no position for it."""
        if length == len(self.positions):
            raise ValueError(
                f"a caption of more than {length} tokens was asked of a captioner of `max_tokens` "
                f"{length - 1}; ask for at most that, or train it with more"
            )

    def teacher_forced(self, memory: ImageMemory, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each token of `input_ids` (B, K, T)."""
        x = self._through(self.decoder, memory.keys_values, input_ids)
        return self._logits(self.final_norm(x)).view(*input_ids.shape, -1)

    def _projected(self, stack: nn.ModuleList, encoded: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Image keys and values of each layer of `stack`, of (B, P, W)."""
        return [layer.project_memory(encoded) for layer in _layers(stack)]

    def _through(
        self,
        stack: nn.ModuleList,
        keys_values: Sequence[tuple[Tensor, Tensor]],
        input_ids: Tensor,
    ) -> Tensor:
        """What a stack of layers makes of captions: (B, K, T) -> (B * K, T, W)."""
        words = input_ids.flatten(0, 1)
        x = self.dropout(self.embedding(words) + self.positions[: words.shape[1]])
        for layer, image in zip(_layers(stack), keys_values, strict=True):
            q, k, v = layer.self_projections(x)
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = layer.finish(x, attended, image)
        return x

    def _logits(self, x: Tensor) -> Tensor:
        """(N, T, W) -> (N, T, V), embedding tied, tokens that may not be chosen at -inf."""
        return F.linear(x, self.embedding.weight, cast(Tensor, self.forbidden))

    def save(self, folder: Path) -> None:
        """Write config, vocabulary and weights into `folder`."""
        model_folder.write_weights(folder, self.state_dict())
        cast(WordTokenizer, self.tokenizer).save(folder / model_folder.VOCABULARY)
        model_folder.write_config(folder, {"family": self.family, **vars(self.shape)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The captioner saved in `folder`, in eval mode."""
        names = set(TransformerShape.__dataclass_fields__)
        config = model_folder.read_config(folder, expected=names)
        shape = TransformerShape(**{name: config[name] for name in names})
        captioner = cls(shape, WordTokenizer.load(folder / model_folder.VOCABULARY))
        model_folder.read_weights(captioner, folder / model_folder.WEIGHTS)
        return captioner.eval()
