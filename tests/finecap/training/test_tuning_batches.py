"""What a step sees: columns belong to their captions, and no caption is learnt and held out."""

import numpy as np
import pandas as pd
import pytest

from finecap.config import ClipRewardConfig
from finecap.data.records import Record
from finecap.training.tuning_batches import (
    TuningBatch,
    TuningMaterial,
    attribute_pairs,
    corruption_pairs,
    split,
)

GRAMMAR = pd.DataFrame(
    [(f"{a} {n}", f"{n} {a}", "swap") for a in ("red", "blue") for n in ("cat", "dog", "boat")],
    columns=["caption", "negative", "kind"],
)
CAPTIONS = [["red cat", "blue cat"], [], ["red dog"], ["blue boat"]]
CORRUPTIONS = {caption: [negative] for caption, negative, _ in GRAMMAR.to_numpy()}
PAIRS = pd.DataFrame({"row": [2, 3], "caption": ["red dog", "blue boat"], "negative": ["dog", "b"]})


def draw(
    corruptions: dict[str, list[str]] | None = None,
    grammar: pd.DataFrame | None = None,
    pairs: pd.DataFrame | None = None,
    size: int = 8,
) -> TuningBatch:
    material = TuningMaterial(CAPTIONS, corruptions or {}, grammar, pairs, size)
    return material.draw(np.random.default_rng(0))


def test_an_image_without_positives_is_not_drawn() -> None:
    batch = draw()
    assert sorted(batch.rows) == [0, 2, 3]
    drawn = zip(batch.rows, batch.captions, strict=True)
    assert all(caption in CAPTIONS[row] for row, caption in drawn)


def test_a_batch_is_never_larger_than_asked_for() -> None:
    batch = draw(grammar=GRAMMAR, pairs=PAIRS, size=2)
    lengths = {len(v) for v in (batch.rows, batch.captions, batch.correct, batch.kept)}
    assert lengths == {2}


def test_columns_are_corruptions_of_the_captions_they_come_with() -> None:
    batch = draw(CORRUPTIONS)
    assert batch.columns == [" ".join(reversed(c.split())) for c in batch.captions]


def test_grammar_and_attribute_pairs_stay_pairs() -> None:
    batch = draw(grammar=GRAMMAR, pairs=PAIRS)
    assert [CORRUPTIONS[c] for c in batch.correct] == [[negative] for negative in batch.corrupted]
    drawn = set(zip(batch.attribute_rows.tolist(), batch.kept, batch.robbed, strict=True))
    assert drawn <= {(2, "red dog", "dog"), (3, "blue boat", "b")}


def test_what_is_not_given_is_not_drawn() -> None:
    batch = draw()
    assert batch.columns == batch.correct == batch.corrupted == batch.kept == batch.robbed == []
    assert len(batch.attribute_rows) == 0


def test_no_caption_is_on_both_sides_of_the_split() -> None:
    captions = [f"caption {i}" for i in range(200) for _ in range(3)]
    table = pd.DataFrame({"caption": captions})
    learnt, held = split(table, ClipRewardConfig(val_share=0.2))
    assert not set(learnt["caption"]) & set(held["caption"])
    assert len(learnt) + len(held) == len(table)
    assert 0.1 < len(held) / len(table) < 0.3


@pytest.mark.parametrize(("share", "held"), [(1e-9, 0), (1 - 1e-9, 8)])
def test_a_split_with_an_empty_side_is_refused(share: float, held: int) -> None:
    table = pd.DataFrame({"caption": list("abcdefgh")})
    with pytest.raises(ValueError, match=f"{held} of 8 negatives held out at `val_share`"):
        split(table, ClipRewardConfig(val_share=share))


def test_attribute_pairs_are_those_of_train_images_with_their_rows() -> None:
    train = [Record(f"{i}.png", "train", ("a cat",)) for i in (5, 6)]
    table = pd.DataFrame({"image": ["6.png", "7.png"], "caption": ["a red cat", "a dog"]})
    pairs = attribute_pairs(table, train)
    assert pairs[["row", "caption"]].to_numpy().tolist() == [[1, "a red cat"]]


def test_corruption_pairs_are_of_every_image_that_has_the_caption() -> None:
    pairs = corruption_pairs(GRAMMAR, [["red cat"], ["a bench"], ["red cat", "blue dog"]])
    found = sorted(pairs[["row", "caption", "negative"]].to_numpy().tolist())
    assert found == [
        [0, "red cat", "cat red"],
        [2, "blue dog", "dog blue"],
        [2, "red cat", "cat red"],
    ]


def test_images_without_a_caption_of_the_table_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"none of the 2 captions that 2 train images .* among the"
    ):
        corruption_pairs(GRAMMAR, [["a bench"], ["a bench"]])
