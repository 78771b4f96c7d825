"""Retrieval in both directions: at which rank a query finds its own row, how often in the top k.

Text to image: captions query images. Image to text: images query captions. Pure tensor functions;
which encoder made the features decides what is measured: `t2i_*`, `i2t_*` for the reward's own,
`judge_*` for one that no reward saw.

A rank counts the rows that score strictly better. Rows that tie with the query's own are as likely
to come before it as after it, so R@k is the chance that the own row is among the first k when ties
are broken at random, and the rank of a row is its mean over such orders. Captioners say the same of
several images, and then captions of a gallery are equal: to count ties for the query, an identical
caption being as right, would give a captioner that says one sentence of all images R@1 = 1; to
count them against it would give 0, where guessing gives 1 / N. This way it is 1 / N.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

_SAME = 1e-12  # cosines in double precision that differ by less are equal but for rounding


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where N queries find their own rows."""

    better: Tensor  # (N,) int64: rows that score strictly better than the own one
    tied: Tensor  # (N,) int64: other rows that score the same

    def mean(self) -> Tensor:
        """The rank from 1, the mean over all orders of ties: (N,) float64, in steps of a half."""
        return 1 + self.better.double() + self.tied.double() / 2


def ranks(queries: Tensor, gallery: Tensor, *, chunk: int = 1024) -> Ranks:
    """The ranks of gallery row i for query i, by cosine.

    Args:
        queries: (N, D), any scale.
        gallery: (N, D), row i belongs to query i.
        chunk: queries scored at a time; bounds memory to chunk x N cosines.

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
    better, not_worse = zip(
        *(_counts(unit_queries[part], unit_gallery, part) for part in parts), strict=True
    )
    above = torch.cat(better)
    return Ranks(above, torch.cat(not_worse) - above - 1)  # the own row ties with itself


def _counts(queries: Tensor, gallery: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows score better, and how many not worse, than rows `own` (C,): (C, D) -> (C,)."""
    cosines = queries @ gallery.T  # (C, N)
    threshold = cosines.gather(1, own[:, None])
    return (cosines > threshold + _SAME).sum(dim=1), (cosines >= threshold - _SAME).sum(dim=1)


def recall_at_k(found: Ranks, k: int) -> Tensor:
    """The chance that the own row is among the first k; the mean is R@k.

    Args:
        found: of N queries.
        k: at least 1.

    Returns:
        (N,) float64: 1 or 0 but for ties that straddle the k-th place.
    """
    if k < 1:
        raise ValueError(f"recall_at_k: expected k >= 1; came {k}")
    places = found.tied + 1
    return (k - found.better).clamp(min=0).minimum(places).double() / places


def median_rank(found: Ranks) -> float:
    """The median of the N mean ranks, the mean of the middle two when N is even."""
    return float(found.mean().quantile(0.5))
