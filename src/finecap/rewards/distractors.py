"""The images that an image must be told apart from: its nearest, and others drawn once.

Made once per training from the images' vectors, so that what a caption earns does not depend on
which images happen to share its batch, or its process.
"""

import numpy as np
import torch
from torch import Tensor

_CHUNK = 1024  # images compared with all others at a time


def distractors(vectors: Tensor, neighbours: int, others: int, seed: int) -> Tensor:
    """Rows of each image's distractors: its nearest by cosine first, then seeded others.

    Args:
        vectors: (N, D), unit length.
        neighbours: n, nearest images.
        others: m, further images, no two the same.
        seed: of the others.

    Returns:
        (N, n + m) int64, without the image itself; fewer columns where N - 1 is less.

    Raises:
        ValueError: fewer than two images, or no distractor asked for.
    """
    N = len(vectors)
    if N < 2 or neighbours + others < 1:  # noqa: PLR2004
        raise ValueError(
            f"{neighbours} neighbours and {others} others among {N} images, expected at least one "
            "distractor and two images; raise `retrieval_neighbours` or `retrieval_others`"
        )
    near = nearest(vectors, min(neighbours, N - 1))
    return torch.cat([near, _others(near, min(others, N - 1 - near.shape[1]), seed)], dim=1)


def nearest(vectors: Tensor, n: int) -> Tensor:
    """Rows of the n nearest other images by cosine, nearest first: (N, D) -> (N, n) int64."""
    found: list[Tensor] = []
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK]
        cosines = part @ vectors.T  # (C, N)
        cosines.diagonal(start).fill_(-torch.inf)
        found.append(cosines.topk(n, dim=1).indices)
    return torch.cat(found)


def _others(near: Tensor, m: int, seed: int) -> Tensor:
    """Rows, m for each image, that are neither itself nor in `near`, (N, m)."""
    generator = np.random.default_rng(seed)
    N, n = near.shape
    chosen = np.empty((N, m), dtype=np.int64)
    for row, known in enumerate(near.numpy()):
        # n + 1 of these at most are the image and its neighbours: m are left.
        drawn = generator.choice(N, size=n + 1 + m, replace=False)
        chosen[row] = drawn[~np.isin(drawn, [*known, row])][:m]
    return torch.from_numpy(chosen)
