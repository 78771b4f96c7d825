"""A captioner and the encoder that gives it its features, in one folder that can be served.

What a build of the index names, and what the registry stores: enough to caption a photo with no
other file at hand.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from finecap.data.transforms import ImageSource
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.clip import ClipEncoder, load_encoder
from finecap.models.decoding import caption_grids

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
            pixel_values = torch.stack([self.encoder.preprocess(image) for image in chunk])
            grid = self.encoder.grid_features(pixel_values).half().float()  # as cached features are
            captions += caption_grids(self.captioner, grid, max_tokens)
        return captions


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
