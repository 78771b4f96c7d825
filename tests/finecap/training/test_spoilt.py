"""What a spoilt captioner says becomes a negative, unless it may be correct."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from finecap.config import GrammarNegativesConfig, ScstConfig, SpoiltNegativesConfig
from finecap.log import silent
from finecap.negatives import grammar
from finecap.negatives.words import key
from finecap.training.scst import train_scst
from finecap.training.spoilt import harvest

CONFIG = SpoiltNegativesConfig(max_tokens=16, samples_per_image=2, batch_size=20)


@pytest.fixture(scope="module")
def spoilt(tiny: SimpleNamespace) -> Path:
    """A captioner that a CLIP reward at a wild learning rate has led away from the language."""
    folder = tiny.new()
    config = ScstConfig(steps=6, val_every=3, batch_size=48, lr=2e-2, max_tokens=16)
    train_scst(tiny.mle, tiny.features, tiny.records, tiny.encoder, config, folder, silent)
    return folder


@pytest.fixture(scope="module")
def table(tiny: SimpleNamespace, spoilt: Path) -> pd.DataFrame:
    return harvest(spoilt, tiny.features, tiny.records, CONFIG, silent)


def test_columns_are_those_of_the_corruptions(tiny: SimpleNamespace, table: pd.DataFrame) -> None:
    corruptions = grammar.build_table(tiny.records, GrammarNegativesConfig(max_captions=20))
    assert list(table.columns) == list(corruptions.columns)
    assert list(table.dtypes) == list(corruptions.dtypes)
    assert set(table["kind"]) == {"spoilt"}


def test_each_negative_comes_once_beside_a_train_caption(
    tiny: SimpleNamespace, table: pd.DataFrame
) -> None:
    correct = {c for r in tiny.records if r.part == "captioner" for c in r.captions}
    assert len(table) > 20
    assert set(table["caption"]) <= correct
    assert table["negative"].is_unique


def test_no_negative_is_empty_or_a_train_text(tiny: SimpleNamespace, table: pd.DataFrame) -> None:
    train = [r for r in tiny.records if r.split == "train"]
    correct = {key(text) for r in train for text in (*r.captions, r.alt_text or "")}
    said = {key(text) for text in table["negative"]}
    assert () not in said
    assert not said & correct


def test_same_seed_same_table(tiny: SimpleNamespace, spoilt: Path, table: pd.DataFrame) -> None:
    again = harvest(spoilt, tiny.features, tiny.records, CONFIG, silent)
    pd.testing.assert_frame_equal(again, table)


def test_fewer_images_and_no_samples_give_at_most_a_negative_each(
    tiny: SimpleNamespace, spoilt: Path
) -> None:
    config = CONFIG.model_copy(update={"max_images": 7, "samples_per_image": 0})
    assert len(harvest(spoilt, tiny.features, tiny.records, config, silent)) <= 7


def test_what_people_say_too_is_no_negative(
    tiny: SimpleNamespace, spoilt: Path, table: pd.DataFrame
) -> None:
    said = sorted(table["negative"])
    first, *others = tiny.records
    assert first.split == "train"
    records = [replace(first, captions=(*first.captions, *said[::2])), *others]
    again = harvest(spoilt, tiny.features, records, CONFIG, silent)
    assert not set(said[::2]) & set(again["negative"])


def test_where_people_say_all_of_it_the_table_is_empty(
    tiny: SimpleNamespace, spoilt: Path, table: pd.DataFrame
) -> None:
    first, *others = tiny.records
    records = [replace(first, captions=(*first.captions, *table["negative"])), *others]
    again = harvest(spoilt, tiny.features, records, CONFIG, silent)
    assert again.empty
    assert list(again.columns) == list(table.columns)


def test_records_without_a_train_image_are_refused(tiny: SimpleNamespace) -> None:
    val = [r for r in tiny.records if r.split == "val"]
    with pytest.raises(ValueError, match="none of 24 records is a train image with features"):
        harvest(tiny.mle, tiny.features, val, CONFIG, silent)
