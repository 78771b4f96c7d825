"""Text-to-image retrieval: at which rank does a query find its own row, and how often in the top k.

Pure tensor functions. Which encoder made the features decides what is measured: `t2i_*` for the
reward's own, `judge_t2i_*` for one that no reward saw.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def ranks(queries: Tensor, gallery: Tensor, *, chunk: int = 1024) -> Tensor:
    """The rank, from 1, of gallery row i for query i, by cosine.

    A tie counts against the query: every other row that scores the same is ranked before it. So a
    collapsed encoder, equal features for all, ranks last instead of first.

    Args:
        queries: (N, D), any scale.
        gallery: (N, D), row i belongs to query i.
        chunk: queries scored at a time; bounds memory to chunk x N cosines.

    Returns:
        (N,) int64 in [1, N].

    Raises:
        ValueError: the shapes are not one (N, D), N >= 1, or a value is not finite.
    """
    if queries.ndim != 2 or queries.shape != gallery.shape or not len(queries):  # noqa: PLR2004
        raise ValueError(
            "expected queries and gallery of one shape (N, D), N >= 1; came "
            f"{tuple(queries.shape)} and {tuple(gallery.shape)}"
        )
    if not (queries.isfinite().all() and gallery.isfinite().all()):
        raise ValueError("queries and gallery must be finite; a value is NaN or infinite")
    # In double precision equal rows score equally, whatever order a matrix product adds in.
    unit_queries = normalize(queries.double(), dim=-1)
    unit_gallery = normalize(gallery.double(), dim=-1)
    rows = torch.arange(len(queries), device=queries.device)
    parts = [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
    found = [_ranks(unit_queries[part], unit_gallery, part) for part in parts]
    return torch.cat(found)


def _ranks(queries: Tensor, gallery: Tensor, own: Tensor) -> Tensor:
    """Ranks of gallery rows `own` (C,) for queries (C, D)."""
    cosines = queries @ gallery.T  # (C, N)
    threshold = cosines.gather(1, own[:, None]) - 1e-12
    return (cosines >= threshold).sum(dim=1)


def recall_at_k(found: Tensor, k: int) -> Tensor:
    """1.0 where the rank is at most k, else 0.0; the mean is R@k.

    Args:
        found: (N,) ranks from 1.
        k: at least 1.

    Returns:
        (N,) float64.
    """
    if k < 1:
        raise ValueError(f"recall_at_k: expected k >= 1; came {k}")
    return (found <= k).double()


def median_rank(found: Tensor) -> float:
    """The median of (N,) ranks, the mean of the middle two when N is even."""
    return float(found.double().quantile(0.5))
