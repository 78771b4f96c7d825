"""The split of each image that comes in: the source's, or drawn by what the image shows.

A drawn split depends on the seed and the image's bytes alone, not on names, order or what else
there is: images added later move no other. Pictures that look the same (`likeness`) go to one side,
since a test image that training has seen scores nothing. What stays out: finding out what the
source says.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finecap.config import ImportConfig
from finecap.data.importers.entry import DatasetImportError
from finecap.data.likeness import groups, near_duplicates
from finecap.data.records import SPLITS

MAX_BITS, MAX_DIFFERENCE = 6, 3.0
"""Pictures this close are one to `likeness`, here and where data is validated by default."""


@dataclass(frozen=True)
class Splits:
    """Where each image goes, and in words how that came about."""

    of: Sequence[str | None]  # None: the source leaves this one out while it gives others one
    said: str
    apart: Sequence[tuple[int, int]]  # pairs that look the same, in two splits of the source's


def assign(
    own: Sequence[str | None],
    md5s: Sequence[str],
    likenesses: npt.NDArray[np.uint8],
    config: ImportConfig,
) -> Splits:
    """The split of each of N images.

    Args:
        own: what the source says; None where it says nothing.
        md5s: of the images' bytes.
        likenesses: (N, `likeness.SIZE`).
        config: `splits`, `seed` and shares.

    Raises:
        DatasetImportError: `fill` cannot tell where from to draw.
    """
    pairs = near_duplicates(likenesses, MAX_BITS, MAX_DIFFERENCE)
    alike = groups(len(md5s), pairs)
    place = _places(md5s, alike, config.seed)
    has = {split for split in own if split}
    if config.splits == "new" or not has:
        drawn = _drawn(place, alike, {"test": config.test_share, "val": config.val_share})
        why = "as asked" if has else "the source has none"
        return Splits(drawn, _said(f"splits drawn by image content ({why})", drawn, config), [])
    missing = [split for split in SPLITS if split not in has]
    if config.splits == "fill" and missing:
        filled = _filled(own, place, alike, missing, config)
        return Splits(filled, _said(f"split {', '.join(missing)} drawn", filled, config), [])
    lacks = f"; it has no {' and no '.join(missing)} (`--splits fill` draws it)" if missing else ""
    apart = [(a, b) for a, b in pairs.tolist() if own[a] and own[b] and own[a] != own[b]]
    return Splits(own, f"splits are the source's{lacks}", apart)


def _places(md5s: Sequence[str], alike: npt.NDArray[np.int64], seed: int) -> list[float]:
    """A number in [0, 1) for each image, by seed and content; the same within a group."""
    first: dict[int, str] = {}
    for group, md5 in zip(alike.tolist(), md5s, strict=True):
        first[group] = min(md5, first.get(group, md5))
    place = {group: _place(seed, md5) for group, md5 in first.items()}
    return [place[group] for group in alike.tolist()]


def _place(seed: int, md5: str) -> float:
    digest = hashlib.md5(f"{seed} {md5}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def _drawn(
    place: Sequence[float], alike: npt.NDArray[np.int64], shares: Mapping[str, float]
) -> list[str | None]:
    """Splits by place: the lowest to the first of `shares`, and so on; what is left is train.

    Each split gets a group at least where there are enough, so that few images make a data set too.
    """
    by_group = sorted({(p, g) for p, g in zip(place, alike.tolist(), strict=True)})
    split_of: dict[int, str] = {}
    low = 0
    bound = 0.0
    for number, (split, share) in enumerate(shares.items()):
        bound += share
        high = next((i for i, (p, _) in enumerate(by_group) if p >= bound), len(by_group))
        others = len(shares) - number
        high = min(max(high, low + 1), max(low, len(by_group) - others))
        split_of |= {group: split for _, group in by_group[low:high]}
        low = high
    return [split_of.get(group, "train") for group in alike.tolist()]


def _filled(
    own: Sequence[str | None],
    place: Sequence[float],
    alike: npt.NDArray[np.int64],
    missing: Sequence[str],
    config: ImportConfig,
) -> list[str | None]:
    """The source's splits, with those it lacks drawn from another of its own."""
    if "train" in missing:
        raise DatasetImportError(
            "the source has no train split to draw others from; `--splits new` draws all of them"
        )
    # Half of the held-out images, as Karpathy & Fei-Fei 2015 split COCO's val; else some of train.
    held_out = next((split for split in ("val", "test") if split not in missing), None)
    shares = {"val": config.val_share, "test": config.test_share}
    shares = {missing[0]: 0.5} if held_out else {split: shares[split] for split in missing}
    rows = [row for row, split in enumerate(own) if split == (held_out or "train")]
    drawn = _drawn([place[row] for row in rows], alike[rows], shares)
    filled = list(own)
    for row, split in zip(rows, drawn, strict=True):
        if split != "train":
            filled[row] = split
    return filled


def _said(how: str, splits: Sequence[str | None], config: ImportConfig) -> str:
    counts = Counter(splits)
    sizes = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
    return f"{how}, seed {config.seed}, pictures that look the same in one: {sizes}"
