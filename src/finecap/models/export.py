"""A captioner and the encoder that gives it its features, in one folder that can be served.

What a build of the index names, and what the registry stores: enough to caption a photo with no
other file at hand.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finecap.data.transforms import ImageSource, load_image, to_pixels
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.captions import Beams, Draws, best_captions, drawn_captions
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.device import best_device
from finecap.models.linear import packed_once

CAPTIONER, ENCODER = "captioner", "encoder"


@dataclass(frozen=True)
class CaptioningModel:
    """An image encoder and the captioner that reads its grid."""

    captioner: Captioner
    encoder: ClipEncoder

    def caption_images(
        self,
        images: Sequence[ImageSource],
        max_tokens: int | None = None,
        batch_size: int = 64,
        how: Beams | None = None,
    ) -> list[str]:
        """A caption each of images given as paths, bytes, arrays or Pillow images.

        Args:
            images: in any of those forms.
            max_tokens: T, words and EOS; None: the most that the captioner can say.
            batch_size: images at a time; changes no caption.
            how: None: greedy.
        """
        limit, captions = max_tokens or self.captioner.max_tokens, list[str]()
        with packed_once():
            for inputs in self._batches(images, batch_size):
                captions += best_captions(self.captioner, inputs, limit, how)
        return captions

    def draw_captions(
        self,
        images: Sequence[ImageSource],
        how: Draws,
        max_tokens: int | None = None,
        batch_size: int = 64,
    ) -> list[list[str]]:
        """Different captions of each image, 1 to `how.samples`; arguments as `caption_images`."""
        limit, captions = max_tokens or self.captioner.max_tokens, list[list[str]]()
        with packed_once():
            for inputs in self._batches(images, batch_size):
                captions += drawn_captions(self.captioner, inputs, limit, how)
        return captions

    def _batches(self, images: Sequence[ImageSource], batch_size: int) -> Iterator[Tensor]:
        """What the captioner reads, batch by batch."""
        for start in range(0, len(images), batch_size):
            yield self._inputs(images[start : start + batch_size])

    @torch.no_grad()
    def _inputs(self, images: Sequence[ImageSource]) -> Tensor:
        """What the captioner reads of images."""
        size = self.captioner.image_size
        if size is not None:
            pixels = np.stack([to_pixels(load_image(image), size) for image in images])
            return self.captioner.pixel_values(pixels)
        pixel_values = torch.stack([self.encoder.preprocess(image) for image in images])
        return self.encoder.grid_features(pixel_values).half().float()  # as cached features are


def export_pair(captioner: Path, encoder: Path, destination: Path) -> None:
    """Copy both model folders into `destination`."""
    shutil.copytree(
        captioner, destination / CAPTIONER, ignore=shutil.ignore_patterns("checkpoint*")
    )
    shutil.copytree(encoder, destination / ENCODER, ignore=shutil.ignore_patterns("checkpoint*"))


def load_pair(folder: Path) -> CaptioningModel:
    """The pair exported to `folder`.

    Raises:
        ModelFolderError: one of the two is missing or incomplete.
    """
    device = best_device()
    captioner, encoder = load_captioner(folder / CAPTIONER), load_encoder(folder / ENCODER)
    return CaptioningModel(captioner.to(device), encoder.to(device))
