"""A captioner and the encoder that gives it its features, in one folder that can be served.

What a build of the index names, and what the registry stores: enough to caption a photo with no
other file at hand.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finecap.data.transforms import ImageSource, load_image, to_pixels
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.decoding import caption_inputs

CAPTIONER, ENCODER = "captioner", "encoder"


@dataclass(frozen=True)
class CaptioningModel:
    """An image encoder and the captioner that reads its grid."""

    captioner: Captioner
    encoder: ClipEncoder

    @torch.no_grad()
    def caption_images(
        self, images: Sequence[ImageSource], max_tokens: int = 32, batch_size: int = 64
    ) -> list[str]:
        """Greedy captions of images given as paths, bytes, arrays or Pillow images."""
        captions: list[str] = []
        for start in range(0, len(images), batch_size):
            chunk = images[start : start + batch_size]
            captions += caption_inputs(self.captioner, self._inputs(chunk), max_tokens)
        return captions

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
    return CaptioningModel(load_captioner(folder / CAPTIONER), load_encoder(folder / ENCODER))
