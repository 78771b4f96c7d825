"""What reward terms are made of: encoder, features, references, settings.

A term takes what it needs by the methods here, which refuse by name what is missing and say what to
give or set. Built-in terms and plug-ins are handed the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from finecap.config import ScstConfig
from finecap.data.records import Record
from finecap.models.clip import ClipEncoder
from finecap.models.features import Features


@dataclass(frozen=True)
class Images:
    """The N images of a split: rows of the features, and references."""

    positions: np.ndarray  # (N,)
    references: Sequence[Sequence[str]]  # (N, R)


def images_of(records: Sequence[Record], features: Features) -> Images:
    """The images of `records`, all of them among `features`."""
    return Images(features.positions([r.image for r in records]), [r.captions for r in records])


class ReferenceFeatures:
    """Text features of images' references, encoded when an image is seen first, then kept.

    They take R x D x 4 bytes an image.
    """

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder
        self._kept: dict[tuple[str, ...], Tensor] = {}

    def __call__(self, references: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Unit vectors (B, R, D), and which of them count, (B, R) bool.

        Raises:
            ValueError: an image has no reference.
        """
        keys = [tuple(own) for own in references]
        if not all(keys):
            raise ValueError(f"image {keys.index(())} of the batch has no reference; expected one")
        new = {key for key in keys if key not in self._kept}
        sentences = sorted({sentence for key in new for sentence in key})
        rows = {sentence: row for row, sentence in enumerate(sentences)}
        encoded = self._encoder.encode_texts(sentences)
        for key in new:
            self._kept[key] = encoded[[rows[sentence] for sentence in key]]
        features = pad_sequence([self._kept[key] for key in keys], batch_first=True)
        counts = torch.tensor([len(key) for key in keys])
        return features, torch.arange(features.shape[1]) < counts[:, None]


@dataclass(frozen=True)
class Ingredients:
    """What there is; a term that needs more says so.

    Attributes:
        encoder: that scores captions.
        options: settings of the terms.
        features: of all images, row by row.
        train: images that are trained on: frequencies, language model, distractors.
        val: images that are looked at, distractors of each other.
    """

    encoder: ClipEncoder | None = None
    options: ScstConfig = field(default_factory=ScstConfig)
    features: Features | None = None
    train: Images | None = None
    val: Images | None = None

    @cached_property
    def reference_features(self) -> ReferenceFeatures:
        """Shared by all terms that compare with references."""
        return ReferenceFeatures(self.encoder_for("ref_clip_s"))

    def encoder_for(self, term: str) -> ClipEncoder:
        """The encoder.

        Raises:
            ValueError: there is none.
        """
        if self.encoder is None:
            raise ValueError(_missing(term, "an encoder", "encoder=load_encoder(folder)"))
        return self.encoder

    def encoder_with_head_for(self, term: str) -> ClipEncoder:
        """The encoder, which has a grammar head.

        Raises:
            ValueError: there is none, or it has no head.
        """
        encoder = self.encoder_for(term)
        if encoder.head is None:
            raise ValueError(
                f"the reward asks for `{term}`, but its encoder has no grammar head; use one that "
                "clip_reward has tuned with `grammar_loss` classification or both"
            )
        return encoder

    def train_for(self, term: str) -> Images:
        """The train images.

        Raises:
            ValueError: there are none.
        """
        if self.train is None:
            what = "the train images' references"
            raise ValueError(_missing(term, what, "train=images_of(records, features)"))
        return self.train

    def features_for(self, term: str) -> Features:
        """The features.

        Raises:
            ValueError: there are none.
        """
        if self.features is None:
            what = "the images' features"
            raise ValueError(_missing(term, what, "features=open_features(folder)"))
        return self.features

    def pixels_for(self, term: str) -> np.ndarray:
        """The images' pixels, (N, H, W, 3) uint8.

        Raises:
            ValueError: the features hold none.
        """
        pixels = self.features_for(term).pixels
        if pixels is None:
            raise ValueError(
                f"the reward asks for `{term}`, which reads pixels, and the features hold none; "
                "set `features.pixel_size` to the cross-encoder's size and extract them again"
            )
        return pixels


def _missing(term: str, what: str, give: str) -> str:
    return f"the reward asks for `{term}`, which needs {what}; give `Ingredients({give})`"
