"""Which captions of the train images count as positives of the contrastive loss.

A grammar network that has been trained selects them: references are written by many hands, and
what g calls ungrammatical should not be what an image is pulled towards. Drawn world, one seed, a
fifth of 10,000 captions corrupted by another seed than the head learnt from: a threshold of 0.5
drops 1,994, and R@1 of correct captions on val is 0.950 instead of 0.936 (0.952 with nothing
corrupted). Where all are correct, 0.5 drops 8 and 0.9 drops 52.
"""

from collections.abc import Mapping, Sequence

from finecap.log import Log
from finecap.models.clip import ClipEncoder

FEWEST_IMAGES = 2  # one alone has nothing to be told from


def select_grammatical(
    encoder: ClipEncoder, captions: Sequence[Sequence[str]], threshold: float, log: Log
) -> tuple[list[list[str]], dict[str, float]]:
    """The captions of each image with g(c) >= `threshold`, and how many there are.

    Args:
        encoder: with a trained grammar head.
        captions: of each image.
        threshold: in [0, 1].
        log: progress.

    Returns:
        The captions kept, one list for each image, and `positives_kept` and `positives_dropped`
        (an image and its caption counting one), `images_dropped` (nothing kept).

    Raises:
        ValueError: fewer than two images keep a caption.
    """
    distinct = sorted({caption for own in captions for caption in own})
    g = dict(zip(distinct, encoder.grammar_scores(distinct).tolist(), strict=True))
    kept = [[caption for caption in own if g[caption] >= threshold] for own in captions]
    n_kept, n_images = sum(map(len, kept)), sum(map(bool, kept))
    if n_images < FEWEST_IMAGES:
        raise ValueError(
            f"`positive_threshold` {threshold} leaves captions of {n_images} of {len(captions)} "
            f"train images (highest g: {max(g.values(), default=0):.3f}), expected two or more; "
            "lower it, or train the grammar head longer (`grammar_steps`)"
        )
    counts = {
        "positives_kept": float(n_kept),
        "positives_dropped": float(sum(map(len, captions)) - n_kept),
        "images_dropped": float(len(captions) - n_images),
    }
    log(f"positives with g >= {threshold}", None, **counts)
    return kept, counts


def with_corruptions(
    captions: Sequence[Sequence[str]], corruptions: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """The captions of each image that have a corruption."""
    return [[caption for caption in own if caption in corruptions] for own in captions]
