"""Vectors that are the same for every captioner, computed once: of images and of references.

A file per key, which names all that decides the content (the encoder's weights and what it
encoded), so nothing ever expires and a stale vector cannot be read. What is not here: encoding.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finecap.evaluation.results import write_bytes


@dataclass(frozen=True, slots=True)
class VectorCache:
    """Vectors by key in a folder, or kept nowhere."""

    folder: Path | None

    def vectors(self, key: str, encode: Callable[[], Tensor]) -> Tensor:
        """What `encode` returns, (N, D); called only where `key` is not kept yet.

        Args:
            key: hexadecimal digest of all that decides the vectors.
            encode: makes them.
        """
        if self.folder is None:
            return encode()
        kept = self.folder / f"{key}.npy"
        if not kept.is_file():
            encoded = io.BytesIO()
            np.save(encoded, encode().numpy())
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(kept, encoded.getvalue())
        return torch.tensor(np.load(kept))
