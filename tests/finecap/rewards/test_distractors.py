"""Distractors are the nearest images and others drawn once: never the image itself."""

import pytest
import torch
from torch.nn.functional import normalize

from finecap.rewards import distractors as module
from finecap.rewards.distractors import distractors, nearest

# On a circle, by angle: 0 and 1 are near, 2 and 3 are near, 4 is far from all.
ANGLES = torch.tensor([0.0, 0.1, 1.0, 1.15, 3.0])
VECTORS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=-1)


def test_neighbours_are_the_nearest_by_angle_nearest_first() -> None:
    assert nearest(VECTORS, 2).tolist() == [[1, 2], [0, 2], [3, 1], [2, 1], [3, 2]]


def test_comparing_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest(VECTORS, 3)
    monkeypatch.setattr(module, "_CHUNK", 2)
    assert nearest(VECTORS, 3).tolist() == whole.tolist()


def test_others_are_distinct_and_neither_the_image_nor_a_neighbour() -> None:
    vectors = normalize(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = distractors(vectors, neighbours=5, others=20, seed=0)
    assert found.shape == (40, 25)
    assert found[:, :5].tolist() == nearest(vectors, 5).tolist()
    assert all(len({row, *own}) == 26 for row, own in enumerate(found.tolist()))


def test_same_seed_same_others() -> None:
    first, again, other = (distractors(VECTORS, 1, 2, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_all_other_images_are_taken_where_there_are_fewer() -> None:
    found = distractors(VECTORS, 3, 10, seed=0)
    assert [sorted(own) for own in found.tolist()] == [
        [i for i in range(5) if i != row] for row in range(5)
    ]


@pytest.mark.parametrize(("images", "neighbours"), [(1, 4), (5, 0)])
def test_an_image_without_distractor_is_refused(images: int, neighbours: int) -> None:
    expected = f"{neighbours} neighbours and 0 others among {images} images, expected at least one"
    with pytest.raises(ValueError, match=expected):
        distractors(VECTORS[:images], neighbours, 0, seed=0)
