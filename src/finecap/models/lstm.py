"""The conventional captioner: two LSTMs with attention over the grid (Anderson et al. 2018).

"Bottom-Up and Top-Down Attention for Image Captioning", section 3.2, equations 1-7, over the cells
of a feature grid instead of detected regions. Att2in of Rennie et al. (2017) has one LSTM that both
looks and speaks; here the first looks and the second speaks.

Built for self-critical training like the Transformer: attention keys and the mean cell's part of
the gates are computed once per image, K samples of one image are query rows of one attention, and
what depends on the words alone (their part of the gates, the output layer) is computed for all T
tokens at once where they are known. A self-critical step without its reward (width 512, 9,488
words, 49 cells, 10 images, 5 captions of 20 tokens, one core) takes 2.1 s, of a Transformer of 6
and 6 layers 4.1 s.

Deviations: cells are normalised and projected to the width (rectified); h^2 is normalised before
the output layer, without which 60 steps hardly learn the order of words (tiny drawn world, width
32: cross-entropy 2.6 with torch's starting weights, 1.4 with them and the norm).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, cast

import torch
from torch import Tensor, nn

from finecap.data.tokenizer import WordTokenizer
from finecap.models import folder as model_folder
from finecap.models.captioner import Captioner, never_chosen
from finecap.models.linear import Linear, PackedLinear


@dataclass(frozen=True)
class LstmShape:
    """Sizes of an `LstmCaptioner`, as saved beside its weights."""

    grid_channels: int
    width: int
    dropout: float
    max_tokens: int  # of the captions it learns; it could say longer ones


@dataclass(frozen=True)
class GridMemory:
    """What the words attend to of B images."""

    values: Tensor  # (B, P, W), v_i of equation 5
    keys: Tensor  # (B, P, W), W_va v_i of equation 3
    mean_gates: Tensor  # (B, 4 W), the part of the mean cell in the attention LSTM's gates

    def __len__(self) -> int:
        """B."""
        return len(self.values)


@dataclass(frozen=True)
class _Maps:
    """The linear maps of a token's step: the model's own, or packed for a loop without gradient."""

    words: Callable[[Tensor], Tensor]
    attention: Callable[[Tensor], Tensor]
    query: Callable[[Tensor], Tensor]
    language: Callable[[Tensor], Tensor]


@dataclass
class RecurrentState:
    """Hidden and cell state of both LSTMs, each (B, rows, W), and what they step with."""

    memory: GridMemory
    maps: _Maps
    to_logits: Callable[[Tensor], Tensor]
    attention: tuple[Tensor, Tensor]  # h^1, c^1
    language: tuple[Tensor, Tensor]  # h^2, c^2
    is_static: ClassVar[bool] = False

    def reorder(self, parents: Tensor) -> None:
        """Row r of each image goes on from what its row `parents[b, r]` was; (B, rows)."""
        index = parents[..., None].expand_as(self.attention[0])
        self.attention, self.language = (
            (hidden.gather(1, index), cell.gather(1, index))
            for hidden, cell in (self.attention, self.language)
        )

    def keep(self, images: Tensor) -> None:
        """Go on with these images alone, given by their places (b,) among those so far."""
        of = self.memory
        self.memory = GridMemory(of.values[images], of.keys[images], of.mean_gates[images])
        self.attention, self.language = (
            (hidden[images], cell[images]) for hidden, cell in (self.attention, self.language)
        )


def _cell_step(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """New hidden and cell state (..., W) of gates (..., 4 W): in, forget, candidate, out."""
    i, f, g, o = gates.chunk(4, dim=-1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


class LstmCaptioner(Captioner):
    """Grid features to words."""

    def __init__(self, shape: LstmShape, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.shape, self.tokenizer, self.max_tokens = shape, tokenizer, shape.max_tokens
        W, V = shape.width, len(tokenizer)
        self.grid_norm = nn.LayerNorm(shape.grid_channels)
        self.grid_project = Linear(shape.grid_channels, W)
        self.attention_key = Linear(W, W, bias=False)  # W_va
        self.attention_query = Linear(W, W)  # W_ha
        self.attention_score = nn.Linear(W, 1, bias=False)  # w_a
        self.embedding = nn.Embedding(V, W)  # W_e
        # The attention LSTM's input matrix in three: by word, by mean cell, by what came before.
        self.word_gates = Linear(W, 4 * W)
        self.mean_gates = Linear(W, 4 * W, bias=False)
        self.attention_gates = Linear(2 * W, 4 * W, bias=False)  # of h^2, h^1
        self.language_gates = Linear(3 * W, 4 * W)  # of the attended cell, h^1, h^2
        self.final_norm = nn.LayerNorm(W)
        self.output = nn.Linear(W, V)  # W_p, b_p
        self.dropout = nn.Dropout(shape.dropout)
        self.register_buffer("forbidden", never_chosen(tokenizer), persistent=False)
        for gates in (self.word_gates, self.mean_gates, self.attention_gates, self.language_gates):
            nn.init.uniform_(gates.weight, -(W**-0.5), W**-0.5)  # as torch's own LSTM cells start

    def memory(self, inputs: Tensor) -> GridMemory:
        """Cells, attention keys and the mean cell's gates of grids (B, P, C)."""
        if inputs.ndim != 3 or inputs.shape[-1] != self.shape.grid_channels:  # noqa: PLR2004
            expected = f"(B, P, {self.shape.grid_channels})"
            raise ValueError(f"grid: expected {expected}, came {tuple(inputs.shape)}")
        values = self.dropout(self.grid_project(self.grid_norm(inputs)).relu())
        return GridMemory(values, self.attention_key(values), self.mean_gates(values.mean(1)))

    @torch.no_grad()
    def begin(self, memory: GridMemory, rows: int) -> RecurrentState:
        """State of a cached decode of `rows` captions per image, by the weights as they are now."""
        N, bias = len(memory) * rows, self.output.bias + cast(Tensor, self.forbidden)
        packed = (PackedLinear(own.weight, own.bias, N) for own in self._own_maps())
        return self._start(memory, rows, packed, PackedLinear(self.output.weight, bias, N))

    @torch.no_grad()
    def step(self, previous: Tensor, state: RecurrentState) -> Tensor:
        """Logits (B, rows, V) after `previous` (B, rows)."""
        hidden = self._advance(state.maps.words(self.embedding(previous)), state)
        return state.to_logits(self.final_norm(hidden))

    def teacher_forced(self, memory: GridMemory, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each token of `input_ids` (B, K, T)."""
        state = self._start(memory, input_ids.shape[1], self._own_maps(), self._logits)
        gates = state.maps.words(self.dropout(self.embedding(input_ids)))  # (B, K, T, 4 W)
        hidden = [self._advance(at_t, state) for at_t in gates.unbind(2)]
        stacked = self.final_norm(torch.stack(hidden, dim=2))  # T x (B, K, W) -> (B, K, T, W)
        return state.to_logits(self.dropout(stacked))

    def _own_maps(self) -> tuple[Linear, ...]:
        """What `_Maps` are made of."""
        return self.word_gates, self.attention_gates, self.attention_query, self.language_gates

    def _start(
        self,
        memory: GridMemory,
        rows: int,
        maps: Iterable[Callable[[Tensor], Tensor]],
        to_logits: Callable[[Tensor], Tensor],
    ) -> RecurrentState:
        """Both LSTMs at zero."""
        zeros = memory.values.new_zeros(len(memory), rows, self.shape.width)
        return RecurrentState(memory, _Maps(*maps), to_logits, (zeros, zeros), (zeros, zeros))

    def _advance(self, word_gates: Tensor, state: RecurrentState) -> Tensor:
        """Take the words (B, rows, 4 W) into `state`; h^2 (B, rows, W)."""
        memory, maps, (h1, c1), (h2, c2) = state.memory, state.maps, state.attention, state.language
        gates = word_gates + memory.mean_gates[:, None] + maps.attention(_joined(h2, h1))
        h1, c1 = _cell_step(gates, c1)  # equations 1, 2
        attended = self._attend(maps.query(h1), memory)
        h2, c2 = _cell_step(maps.language(_joined(attended, h1, h2)), c2)  # equation 6
        state.attention, state.language = (h1, c1), (h2, c2)
        return h2

    def _attend(self, query: Tensor, memory: GridMemory) -> Tensor:
        """The attended cell (B, rows, W) of each row's W_ha h^1: equations 3-5."""
        seen = (memory.keys[:, None] + query[:, :, None]).tanh()  # (B, rows, P, W)
        scores = self.attention_score(seen).squeeze(-1)  # (B, rows, P, 1) -> (B, rows, P)
        return scores.softmax(-1) @ memory.values

    def _logits(self, h2: Tensor) -> Tensor:
        """(..., W) -> (..., V), equation 7, tokens that may not be chosen at -inf."""
        return self.output(h2) + cast(Tensor, self.forbidden)

    def save(self, folder: Path) -> None:
        """Write config, vocabulary and weights into `folder`."""
        model_folder.write_weights(folder, self.state_dict())
        cast(WordTokenizer, self.tokenizer).save(folder / model_folder.VOCABULARY)
        model_folder.write_config(folder, {"family": "lstm", **vars(self.shape)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The captioner saved in `folder`, in eval mode."""
        names = set(LstmShape.__dataclass_fields__)
        config = model_folder.read_config(folder, expected=names)
        shape = LstmShape(**{name: config[name] for name in names})
        captioner = cls(shape, WordTokenizer.load(folder / model_folder.VOCABULARY))
        model_folder.read_weights(captioner, folder / model_folder.WEIGHTS)
        return captioner.eval()


def _joined(*parts: Tensor) -> Tensor:
    """The parts side by side, (..., W) each -> (..., n W)."""
    return torch.cat(parts, dim=-1)
