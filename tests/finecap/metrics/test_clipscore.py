"""CLIP-S and RefCLIP-S: values by hand, the authors' formula, scale, masks, refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.clipscore import clip_s, harmonic_mean, ref_clip_s, ref_clip_s_scaled


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def authors_ref_clip_s(image: np.ndarray, text: np.ndarray, references: np.ndarray) -> np.ndarray:
    """github.com/jmhessel/clipscore, main(): w = 2.5 on the image side alone."""
    image, text, references = (
        x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (image, text, references)
    )
    per_image = 2.5 * np.clip((image * text).sum(1), 0, None)
    per_text = np.array(
        [(own @ caption).max() for own, caption in zip(references, text, strict=True)]
    )
    return 2 * per_image * per_text / (per_image + per_text)


def test_clip_s_is_two_and_a_half_times_the_positive_cosine() -> None:
    image = torch.tensor([[1.0, 0], [1, 0], [1, 0], [3, 4]])
    text = torch.tensor([[2.0, 0], [0, 1], [-1, 0], [1, 0]])
    assert clip_s(image, text).tolist() == pytest.approx([2.5, 0, 0, 1.5])


@settings(deadline=None)
@given(st.floats(1e-2, 1e3), st.floats(1e-2, 1e3), st.integers(0, 50))
def test_clip_s_is_blind_to_scale_and_within_bounds(a: float, b: float, seed: int) -> None:
    image, text = features(6, 8, seed=seed), features(6, 8, seed=seed + 100)
    score = clip_s(image, text)
    assert ((score >= 0) & (score <= 2.5)).all()
    torch.testing.assert_close(clip_s(a * image, b * text), score)


def test_ref_clip_s_equals_the_authors_formula() -> None:
    image = features(20, 8).abs()
    text, references = features(20, 8, seed=1).abs(), features(20, 5, 8, seed=2).abs()
    expected = authors_ref_clip_s(image.numpy(), text.numpy(), references.numpy())
    np.testing.assert_allclose(ref_clip_s(image, text, references).numpy(), expected, rtol=1e-5)


def test_reference_cosine_is_not_scaled() -> None:
    one = torch.tensor([[1.0, 0]])
    assert ref_clip_s(one, one, one[:, None]).item() == pytest.approx(2 * 2.5 * 1 / 3.5)


def test_the_scaled_variant_multiplies_both_cosines_by_hand() -> None:
    """cos(image, caption) = 0.6, best cos(caption, reference) = 0.8: 1.5 and 2.0 after scaling."""
    image, text = torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0]])
    references = torch.tensor([[[0.8, 0.6], [0.0, 1.0]]])
    assert ref_clip_s_scaled(image, text, references).item() == pytest.approx(2 * 1.5 * 2 / 3.5)
    assert ref_clip_s(image, text, references).item() == pytest.approx(2 * 1.5 * 0.8 / 2.3)


def test_the_scaled_variant_equals_the_published_rewards_formula() -> None:
    """github.com/j-min/CLIP-Caption-Reward, `calc_refclip_s`: 2 / (1 / clip_s + 1 / ref_score)."""
    image, text = features(20, 8).abs(), features(20, 8, seed=1).abs()
    references = features(20, 5, 8, seed=2).abs()
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (image, text, references)]
    per_image = 2.5 * (unit[0] * unit[1]).sum(-1)
    per_text = 2.5 * (unit[1][:, None] * unit[2]).sum(-1).amax(1)
    expected = 2 / (1 / per_image + 1 / per_text)
    torch.testing.assert_close(ref_clip_s_scaled(image, text, references), expected)


def test_masked_references_do_not_count() -> None:
    image, text, references = features(4, 8), features(4, 8), features(4, 3, 8, seed=3)
    mask = torch.tensor([[True, True, False]] * 4)
    torch.testing.assert_close(
        ref_clip_s(image, text, references, mask), ref_clip_s(image, text, references[:, :2])
    )


def test_ref_clip_s_is_zero_not_nan_where_nothing_agrees() -> None:
    image, text = torch.tensor([[1.0, 0]]), torch.tensor([[-1.0, 0]])
    assert ref_clip_s(image, text, image[:, None]).item() == 0


def test_harmonic_mean_by_hand() -> None:
    found = harmonic_mean(torch.tensor([2.0, 0, 0]), torch.tensor([1.0, 1, 0]))
    assert found.tolist() == pytest.approx([4 / 3, 0, 0])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(N, D\); came \(3, 4\) and \(2, 4\)"):
        clip_s(features(3, 4), features(2, 4))
    with pytest.raises(ValueError, match=r"reference_features \(N, R, D\)"):
        ref_clip_s(features(3, 4), features(3, 4), features(3, 4))
    with pytest.raises(ValueError, match="boolean mask"):
        ref_clip_s(features(3, 4), features(3, 4), features(3, 2, 4), torch.ones(3, 2))


def test_image_without_reference_is_refused() -> None:
    mask = torch.tensor([[True], [False]])
    with pytest.raises(ValueError, match="at least one reference per image"):
        ref_clip_s(features(2, 4), features(2, 4), features(2, 1, 4), mask)
