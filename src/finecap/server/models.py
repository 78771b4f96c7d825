"""The models that a build names: texts and images to vectors, images to captions.

What is served is what the manifest says, checked by content; never a registry's newest. Models stay
in memory by the digest of their export, so that builds of one champion share them.
"""

import threading
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from finecap.config import ServeConfig
from finecap.data.sent_images import Intake
from finecap.models.serving import ServedCaptioner, ServedEncoder
from finecap.search.checks import check_encoder
from finecap.search.index import Manifest, Vector
from finecap.search.searcher import verified_export
from finecap.server.memory import Remembered

_MODELS = 2
"""Of each kind in memory: the live build's, and that of the build before it."""


class Models:
    """Encoders and captioners by what the builds say of them."""

    def __init__(self, home: Path, config: ServeConfig) -> None:
        """Nothing is loaded before it is needed."""
        self._home = home
        self._threads = config.threads
        self._loading = threading.Lock()
        self._encoders = Remembered[str, ServedEncoder](_MODELS)
        self._captioners = Remembered[str, ServedCaptioner](_MODELS)
        self._texts = Remembered[tuple[str, str], Vector](config.remembered)

    def text_vector(self, manifest: Manifest, text: str) -> Vector:
        """The text's vector, (D,), unit length.

        Raises:
            IndexRefused: the encoder is not the build's.
            FileNotFoundError: it is missing.
        """
        return self._texts.or_compute(
            (manifest.encoder.digest, text),
            lambda: self._encoder(manifest).vectors([{"text": text}], Intake())[0],
        )

    def image_vector(self, manifest: Manifest, image: Image.Image) -> Vector:
        """The image's vector, (D,), unit length; raises as `text_vector`."""
        found = self._encoder(manifest).vectors([{"image": image}], Intake())[0]
        return found.astype(np.float32)

    def caption(self, manifest: Manifest, image: Image.Image, beams: int = 1) -> str:
        """What the build's captioner says of an image; raises as `text_vector`."""
        captioner = self._captioner(manifest)
        return captioner.captions([{"image": image}], {"beams": beams}, Intake())[0]

    def warm_up(self, manifest: Manifest) -> None:
        """Have the encoder ready before the first question; raises as `text_vector`."""
        self.text_vector(manifest, "a red boat")

    def _encoder(self, manifest: Manifest) -> ServedEncoder:
        reference = manifest.encoder
        with self._loading:
            found = self._encoders.get(reference.digest)
            if found is None:
                folder = verified_export(self._home, reference)
                self._use_threads()
                found = ServedEncoder(folder)
                check_encoder(manifest, found.encoder.dim, str(folder))
                self._encoders.put(reference.digest, found)
        return found

    def _captioner(self, manifest: Manifest) -> ServedCaptioner:
        reference = manifest.captioner
        with self._loading:
            found = self._captioners.get(reference.digest)
            if found is None:
                folder = verified_export(self._home, reference)
                self._use_threads()
                found = self._captioners.put(reference.digest, ServedCaptioner(folder))
        return found

    def _use_threads(self) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
