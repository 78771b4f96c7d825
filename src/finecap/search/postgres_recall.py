"""Whether a build's approximate index of vectors is good enough, and how wide it has to search.

Measured against the exact scan of the same rows: how well HNSW finds neighbours depends on the
vectors (of random directions in 256 dims 0.6 of the ten nearest were found, of clusters all). Where
no width will do, the build is scanned: slower, and right.
"""

import numpy as np

from finecap.search.index import Manifest
from finecap.search.postgres_build import PostgresBuild

WIDTHS = (100, 200, 400, 800)
_ENOUGH = 0.97
_QUERIES, _NEAREST = 20, 10


def with_width(build: PostgresBuild, manifest: Manifest) -> Manifest:
    """The manifest with the least width that finds enough, or with none: scan exactly."""
    if "exact_up_to" not in manifest.parameters:
        return manifest
    best = 0.0
    for width in WIDTHS:
        best = agreement(build, width)
        if best >= _ENOUGH:
            return _stating(manifest, {"hnsw_ef_search": width})
    found = f"halfvec, exact: hnsw found {best:.2f} of the {_NEAREST} nearest"
    return _stating(manifest, {"vectors": found})


def agreement(build: PostgresBuild, width: int) -> float:
    """Share of the ten nearest that the approximate index finds, mean over queries.

    Queries are stored vectors moved by noise of their own length, as in `build.recall_at_10`.
    """
    draw = np.random.default_rng(0)
    found: list[float] = []
    for vector in build.examples(_QUERIES):
        noise = draw.standard_normal(len(vector)).astype(np.float32) / np.sqrt(len(vector))
        query = ((vector + noise) / np.linalg.norm(vector + noise)).astype(np.float32)
        truth = {image for image, _ in build.scanned(query, _NEAREST)}
        near = {image for image, _ in build.nearest(query, _NEAREST, width)}
        found.append(len(near & truth) / len(truth))
    return float(np.mean(found))


def _stating(manifest: Manifest, parameters: dict[str, str | int]) -> Manifest:
    return manifest.model_copy(update={"parameters": {**manifest.parameters, **parameters}})
