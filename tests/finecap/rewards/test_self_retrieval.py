"""A caption earns by telling its image from the same distractors every time, in both directions."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from finecap.config import ScstConfig
from finecap.models.clip import ClipEncoder
from finecap.models.features import Features
from finecap.rewards import Images, Ingredients, Reward, RewardBatch

TEXTS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "west": (-1.0, 0.0), "south": (0.0, -1.0)}
REFERENCES = [["north"], ["east"], ["east", "north"], ["west"]]
ROWS = np.array([1, 2, 3])  # of the features: east, north, west
VECTORS = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)
OPTIONS = ScstConfig(
    retrieval_neighbours=1, retrieval_others=1, retrieval_scale=1.0, retrieval_floor=10.0
)


def features_of(vectors: np.ndarray) -> Features:
    rows = pd.DataFrame({"image": [str(i) for i in range(len(vectors))], "split": "train"})
    return Features(rows, np.zeros((len(vectors), 1, 1)), vectors)


def self_retrieval(encoder: ClipEncoder, **options: object) -> Reward:
    """Of the three images in `ROWS`, each other's distractors."""
    chosen = OPTIONS.model_copy(update=options)
    train = Images(ROWS, [REFERENCES[row] for row in ROWS])
    return Reward(
        {"self_retrieval": 1.0}, Ingredients(encoder, chosen, features_of(VECTORS), train)
    )


def said(rows: Sequence[int], *captions: Sequence[str]) -> RewardBatch:
    at = np.array(rows)
    return RewardBatch(captions, torch.from_numpy(VECTORS[at]), [["east"] for _ in rows], at)


@pytest.fixture
def compass(spelt: Callable[..., ClipEncoder]) -> ClipEncoder:
    return spelt(TEXTS)


def test_both_directions_by_hand(compass: ClipEncoder) -> None:
    """Image east; its distractors are north and west, with all of their references."""
    e = math.e
    found, _ = self_retrieval(compass)(said([1], ["east", "south"]))
    for score, own, others in ((found[0, 0], e, 1 + 1 / e), (found[0, 1], 1.0, 1 / e + 1)):
        to_image = math.log(own / (own + others))
        to_text = math.log(own / (own + (e + 1) / 2 + 1 / e))
        assert score.item() == pytest.approx(1 + (to_image + to_text) / 2 / 10)


def test_it_is_zero_where_both_probabilities_are_below_the_floor(compass: ClipEncoder) -> None:
    found, _ = self_retrieval(compass, retrieval_scale=50.0)(said([1], ["west", "east"]))
    assert found[0].tolist() == pytest.approx([0.0, 1 - math.log(1.5) / 20], abs=1e-6)


def test_the_encoders_own_scale_counts_unless_one_is_given(compass: ClipEncoder) -> None:
    batch = said([1], ["north", "south"])
    own, _ = self_retrieval(compass, retrieval_scale=0.0)(batch)
    same, _ = self_retrieval(compass, retrieval_scale=compass.logit_scale.item())(batch)
    other, _ = self_retrieval(compass)(batch)
    assert own.tolist() == same.tolist() != other.tolist()


def test_a_batch_of_two_earns_what_two_batches_of_one_do(compass: ClipEncoder) -> None:
    reward = self_retrieval(compass)
    both, _ = reward(said([1, 3], ["east", "north"], ["west", "east"]))
    first, _ = reward(said([1], ["east", "north"]))
    second, _ = reward(said([3], ["west", "east"]))
    torch.testing.assert_close(both, torch.cat([first, second]))


def test_val_images_are_told_from_val_images(compass: ClipEncoder) -> None:
    features, vectors = features_of(np.concatenate([VECTORS, VECTORS])), torch.from_numpy(VECTORS)
    train = Images(ROWS, [REFERENCES[row] for row in ROWS])
    val = Images(ROWS[:2] + 4, [["north"], ["east"]])
    ingredients = Ingredients(compass, OPTIONS, features, train, val)
    reward = Reward({"self_retrieval": 1.0}, ingredients)
    found, _ = reward(RewardBatch([["east"]], vectors[1:2], [["north"]], np.array([5])))
    one = math.log(math.e / (math.e + 1))  # against the image north
    other = math.log(math.e / (math.e + math.e))  # against its reference, east
    assert found.item() == pytest.approx(1 + (one + other) / 2 / 10)


def test_an_image_of_neither_split_is_refused(compass: ClipEncoder) -> None:
    with pytest.raises(ValueError, match="row 0 of the features is neither of the train nor of"):
        self_retrieval(compass)(said([0], ["south"]))


def test_a_caption_of_the_image_alone_beats_one_that_fits_its_neighbour_too(
    spelt: Callable[..., ClipEncoder],
) -> None:
    """CLIP-S ranks them the other way: the vaguer caption has the larger cosine."""
    vectors = normalize(torch.tensor([[1.0, 0.4], [1.0, -0.4], [-1.0, -0.4]]), dim=-1)
    encoder = spelt({"vague": (1.0, 0.0), "distinct": (0.64, 0.768), "far": (0.0, -1.0)})
    train = Images(np.arange(3), [["far"]] * 3)
    options = OPTIONS.model_copy(update={"retrieval_scale": 20.0})
    ingredients = Ingredients(encoder, options, features_of(vectors.numpy()), train)
    batch = RewardBatch([["vague", "distinct"]], vectors[:1], [["far"]], np.array([0]))
    ((vague, distinct),) = Reward({"clip_s": 1.0}, ingredients)(batch)[0].tolist()
    assert vague > distinct
    ((vague, distinct),) = Reward({"self_retrieval": 1.0}, ingredients)(batch)[0].tolist()
    assert vague < distinct
