"""A captioner that reads images: an image encoder of its own before any grid decoder.

What it saves is the tower's weights and, in the folder `decoder`, a captioner like any other. With
a frozen copy of the encoder's tower it says what its decoder says of the cached grid, but for the
float16 that the cache is rounded to.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor, nn

from finecap.models import folder as model_folder
from finecap.models.captioner import Captioner, DecodingState, load_captioner
from finecap.models.image_encoder import ImageEncoder

_DECODER = "decoder"


class PixelCaptioner(Captioner):
    """Pixel values to words: `decoder.memory(image_encoder(pixel_values))`, then the decoder.

    Args:
        image_encoder: pixel values to grid cells, frozen or learning.
        decoder: a captioner that reads grids of as many channels.
    """

    def __init__(self, image_encoder: ImageEncoder, decoder: Captioner) -> None:
        super().__init__()
        if decoder.image_size is not None:
            raise TypeError(
                f"decoder: expected a captioner of grids, came {type(decoder).__name__}"
            )
        self.image_encoder, self.decoder = image_encoder, decoder
        self.tokenizer, self.max_tokens = decoder.tokenizer, decoder.max_tokens
        self.bicaptioning = decoder.bicaptioning
        self.image_size = image_encoder.tower.image_size

    @property
    def has_random_weights(self) -> bool:
        """Whether its image tower began as a stand-in that nobody trained."""
        return self.image_encoder.is_random

    def pixel_values(self, pixels: np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3) -> normalised float (B, 3, H, W)."""
        return self.image_encoder.pixel_values(pixels)

    def learning_parts(self, image_lr_scale: float) -> list[tuple[nn.Module, float]]:
        """Decoder and image encoder, which mostly knows already what it is to see."""
        return [(self.decoder, 1.0), (self.image_encoder, image_lr_scale)]

    def learnt_statistics(self) -> list[Tensor]:
        """BatchNorm's, of an image tower trained from scratch."""
        return self.image_encoder.learnt_statistics()

    def memory(self, inputs: Tensor) -> Any:
        """The decoder's memory of pixel values (B, 3, H, W)."""
        return self.decoder.memory(self.image_encoder(inputs))

    def begin(self, memory: Any, rows: int) -> DecodingState:
        """State of a cached decode of `rows` captions for each of B images."""
        return self.decoder.begin(memory, rows)

    def step(self, previous: Tensor, state: Any) -> Tensor:
        """Logits (B, rows, V) after `previous` (B, rows)."""
        return self.decoder.step(previous, state)

    def teacher_forced(self, memory: Any, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each token of `input_ids` (B, K, T)."""
        return self.decoder.teacher_forced(memory, input_ids)

    def teacher_forced_backward(self, memory: Any, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each of the reversed captions' `input_ids` (B, K, T)."""
        return self.decoder.teacher_forced_backward(memory, input_ids)

    def save(self, folder: Path) -> None:
        """Write the tower into `folder` and the decoder below it."""
        self.decoder.save(folder / _DECODER)
        model_folder.write_weights(folder, self.image_encoder.state_dict())
        tower = asdict(self.image_encoder.tower)
        marked = {"weights": "random"} if self.image_encoder.is_random else {}
        model_folder.write_config(folder, {"family": "pixels", "image_tower": tower, **marked})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The captioner saved in `folder`, in eval mode."""
        config = model_folder.read_config(folder, expected={"image_tower"})
        image_encoder = ImageEncoder.rebuilt(config["image_tower"])
        image_encoder.is_random = config.get("weights") == "random"
        model_folder.read_weights(image_encoder, folder / model_folder.WEIGHTS)
        return cls(image_encoder, load_captioner(folder / _DECODER)).eval()
