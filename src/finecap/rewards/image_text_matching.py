"""How surely a cross-encoder, which reads image and caption in one stream, takes them for a pair.

    itm = p(match | image, caption), in [0, 1]

by the matching head of ViLT (Kim et al. 2021) or BLIP (Li et al. 2022): `models.cross_encoder`. It
reads pixels, which features keep where `features.pixel_size` asks for them, and costs a pass for
each image with each of its distinct captions.
"""

import numpy as np
from torch import Tensor

from finecap.models.device import best_device
from finecap.rewards.batch import EncodedBatch
from finecap.rewards.ingredients import Ingredients


class ImageTextMatching:
    """p(match | image, caption) in [0, 1]."""

    name = "itm"

    def __init__(self, ingredients: Ingredients) -> None:
        folder = ingredients.options.itm_model
        if folder is None:
            raise ValueError(
                "the reward asks for `itm`, which needs a cross-encoder; set `itm_model` to its "
                "folder or its name on the Hugging Face hub"
            )
        self._pixels = ingredients.pixels_for(self.name)
        # Imported here: transformers costs seconds, which other rewards need not pay.
        from finecap.models.cross_encoder import load_cross_encoder

        self._model = load_cross_encoder(folder).to(best_device())

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 1]."""
        images = np.asarray(self._pixels[batch.positions])  # (B, H, W, 3)
        return self._model.score(self._model.prepare(list(images)), batch.batch.captions)
