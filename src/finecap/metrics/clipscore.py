"""CLIP-S and RefCLIP-S from features: how well a caption fits its image, and its references.

Pure tensor functions, blind to the features' scale. Encoding, and the prompt "A photo depicts", are
the encoder's (`models/clip.py`). Paper: Hessel et al. 2021, "CLIPScore", and the authors'
`clipscore.py`.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

WEIGHT = 2.5
"""w of the paper: stretches the cosines CLIP gives to about [0, 1]."""


def clip_s(image_features: Tensor, text_features: Tensor) -> Tensor:
    """CLIP-S, w * max(cos(v, c), 0) with w = 2.5: paper, section 3.

    Args:
        image_features: (N, D), any scale.
        text_features: (N, D), any scale.

    Returns:
        (N,) in [0, 2.5].

    Raises:
        ValueError: the shapes are not one (N, D).
    """
    _check_pair(image_features, text_features)
    return WEIGHT * cosine_similarity(image_features, text_features, dim=-1).clamp(0, 1)


def ref_clip_s(
    image_features: Tensor,
    text_features: Tensor,
    reference_features: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Harmonic mean of CLIP-S and max(max_r cos(c, r), 0): paper, section 3.

    As in the authors' code the caption-reference cosine is not multiplied by w.

    Args:
        image_features: (N, D), any scale.
        text_features: (N, D), the captions'.
        reference_features: (N, R, D).
        mask: (N, R) bool, True = counts; None when every image has R references.

    Returns:
        (N,) in [0, 10/7]; 0 where either term is 0.

    Raises:
        ValueError: shapes that do not belong together, or an image without reference.
    """
    best = _best_cosine(text_features, reference_features, mask)
    return harmonic_mean(clip_s(image_features, text_features), best)


def ref_clip_s_scaled(
    image_features: Tensor,
    text_features: Tensor,
    reference_features: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Harmonic mean of CLIP-S and w * max(max_r cos(c, r), 0): both sides are multiplied by w.

    Not the metric of its authors (`ref_clip_s`), but the reward that Cho et al. 2022 trained with:
    `calc_refclip_s` of their `captioning/utils/clipscore.py`.

    Args:
        image_features: (N, D), any scale.
        text_features: (N, D), the captions'.
        reference_features: (N, R, D).
        mask: (N, R) bool, True = counts; None when every image has R references.

    Returns:
        (N,) in [0, 2.5]; 0 where either term is 0.

    Raises:
        ValueError: shapes that do not belong together, or an image without reference.
    """
    best = _best_cosine(text_features, reference_features, mask)
    return harmonic_mean(clip_s(image_features, text_features), WEIGHT * best)


def harmonic_mean(first: Tensor, second: Tensor) -> Tensor:
    """2ab / (a + b) of non-negative tensors of one shape; 0 where both are 0."""
    total = first + second
    return torch.where(total > 0, 2 * first * second / total.clamp(min=1e-12), 0)


def _best_cosine(text_features: Tensor, reference_features: Tensor, mask: Tensor | None) -> Tensor:
    """max(max_r cos(c, r), 0) of each caption, (N,)."""
    _check_references(text_features, reference_features, mask)
    cosines = cosine_similarity(text_features[:, None], reference_features, dim=-1)  # (N, R)
    if mask is not None:
        cosines = cosines.masked_fill(~mask, -1)
    return cosines.amax(dim=1).clamp(0, 1)  # (N, R) -> (N,)


def _check_pair(image_features: Tensor, text_features: Tensor) -> None:
    if image_features.ndim != 2 or image_features.shape != text_features.shape:  # noqa: PLR2004
        raise ValueError(
            "expected image_features and text_features of one shape (N, D); came "
            f"{tuple(image_features.shape)} and {tuple(text_features.shape)}"
        )


def _check_references(text: Tensor, references: Tensor, mask: Tensor | None) -> None:
    belong = references.ndim == 3 and text.shape == (len(references), references.shape[2])  # noqa: PLR2004
    if not belong:
        raise ValueError(
            "expected reference_features (N, R, D) for text_features (N, D); came "
            f"{tuple(references.shape)} and {tuple(text.shape)}"
        )
    if mask is not None and (mask.shape != references.shape[:2] or mask.dtype != torch.bool):
        raise ValueError(
            f"expected a boolean mask {tuple(references.shape[:2])}; came {mask.dtype} "
            f"{tuple(mask.shape)}"
        )
    has_reference = references.shape[1] > 0 if mask is None else bool(mask.any(dim=1).all())
    if not has_reference:
        raise ValueError("expected at least one reference per image; an image has none")
