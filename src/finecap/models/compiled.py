"""Decoding by compiled steps: on a GPU, one recorded graph a token instead of kernel after kernel.

`CompiledCaptioner` stands where a captioner draws captions, and says what the captioner it was made
of says; training and saving are that captioner's. `torch.compile` makes the code, in its mode for
CUDA graphs on a GPU, once for each shape of captions that is asked for, and that takes a while: it
is for training, which asks for few shapes thousands of times, and not for a gallery, whose last
batch alone would be compiled for. On a CPU it gains nothing: drawing 10 images of 49 cells (6
layers, width 512, 6 captions of 20 tokens, one core) takes 1.14 s in fp32 and 0.72 in bf16, the
captioner itself 0.98 and 0.77. No GPU has measured it yet: `make bench NAMES=gpu_step` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from finecap.models.captioner import Captioner
from finecap.models.pixels import PixelCaptioner
from finecap.models.static_layer import StaticDecoder
from finecap.models.transformer import ImageMemory, TransformerCaptioner

_Shape = tuple[object, ...]


@dataclass
class _Room:
    """Place for captions of one shape, and its compiled step."""

    decoder: StaticDecoder
    step: Callable[[], Tensor]
    turn: int = 0  # which decode has it


@dataclass
class StaticDecoding:
    """What a compiled decode carries from token to token; its shapes stay as they are.

    Attributes:
        room: place that decodes of one shape take in turns.
        turn: this decode's.
        length: tokens so far.
    """

    room: _Room
    turn: int
    length: int = 0
    is_static: ClassVar[bool] = True

    def reorder(self, parents: Tensor) -> None:
        """Row r of each image goes on from what its row `parents[b, r]` was; (B, rows)."""
        B, rows = parents.shape
        first = torch.arange(B, device=parents.device)[:, None] * rows
        self.room.decoder.reorder((first + parents).flatten())

    def keep(self, images: Tensor) -> None:
        """Refuse to go on with some of the images.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{len(images)} images were to be kept of a decode whose shapes are compiled; decode "
            "all to their end, or with the captioner itself"
        )


class CompiledCaptioner(Captioner):
    """A captioner that draws by compiled steps: greedy, sampled or in beams.

    Logits of a step are overwritten by the next one's where CUDA graphs are used.

    Args:
        captioner: a `TransformerCaptioner`, or one behind an image tower; its weights are read when
            a decode begins.
        backend: of `torch.compile`.

    Raises:
        TypeError: a captioner of another family.
    """

    def __init__(
        self, captioner: Captioner, backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        super().__init__()
        decoder = captioner.decoder if isinstance(captioner, PixelCaptioner) else captioner
        if not isinstance(decoder, TransformerCaptioner):
            raise TypeError(
                f"{type(decoder).__name__} has no step that could be compiled, expected a "
                "TransformerCaptioner; set `compile_decoding: false`"
            )
        self.captioner, self.decoder = captioner, decoder
        self.tokenizer, self.max_tokens = captioner.tokenizer, captioner.max_tokens
        self.image_size, self.backend = captioner.image_size, backend
        self.train(captioner.training)
        self._rooms: dict[_Shape, _Room] = {}

    def memory(self, inputs: Tensor) -> Any:
        """The captioner's memory of grids (B, P, C) or pixel values (B, 3, H, W)."""
        return self.captioner.memory(inputs)

    @torch.no_grad()
    def begin(self, memory: ImageMemory, rows: int) -> StaticDecoding:
        """State of a decode of `rows` captions per image, by the weights as they are now."""
        keys, dtype = memory.keys_values[0][0], _precision_of_products(self.decoder)
        shape = keys.shape, keys.dtype, keys.device, rows, dtype
        if shape not in self._rooms:
            self._rooms[shape] = self._new_room(memory, rows, dtype)
        room = self._rooms[shape]
        room.decoder.start(memory)
        room.turn += 1
        return StaticDecoding(room, room.turn)

    @torch.no_grad()
    def step(self, previous: Tensor, state: StaticDecoding) -> Tensor:
        """Logits (B, rows, V) after `previous` (B, rows)."""
        if state.turn != state.room.turn:
            raise RuntimeError(
                "another decode of this shape has begun since, in the same place; end one before "
                "the next, or give each a `CompiledCaptioner` of its own"
            )
        self.decoder.check_room(state.length)
        state.length += 1
        state.room.decoder.previous.copy_(previous)
        with torch.autocast(previous.device.type, enabled=False):  # precision is the room's
            return state.room.step()

    def teacher_forced(self, memory: Any, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each token of `input_ids` (B, K, T)."""
        return self.captioner.teacher_forced(memory, input_ids)

    def save(self, folder: Path) -> None:
        """Write the captioner into `folder`; nothing compiled is saved."""
        self.captioner.save(folder)

    @torch.inference_mode(False)  # what is made there could not be filled outside
    def _new_room(self, memory: ImageMemory, rows: int, dtype: torch.dtype) -> _Room:
        decoder = StaticDecoder(self.decoder, memory, rows, dtype)
        mode = "reduce-overhead" if self.backend == "inductor" else None
        compiling = cast(Any, torch.compile)  # its overloads lack what it takes
        step = compiling(
            decoder,
            fullgraph=True,
            dynamic=False,
            backend=self.backend,
            mode=mode,
            isolate_recompiles=True,  # or a ninth shape would be one too many
        )
        return _Room(decoder, step)


def _precision_of_products(captioner: Captioner) -> torch.dtype:
    """Autocast's where it is on, else that of the weights."""
    device = captioner.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return next(captioner.parameters()).dtype
