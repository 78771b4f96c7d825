"""The score sheet's own arithmetic, by hand."""

import numpy as np
import pytest
import torch

from finecap.config import EvaluationConfig
from finecap.data.records import Record
from finecap.evaluation.results import is_measured, is_undefined
from finecap.evaluation.scoring import ScoreSheet, score_facts, score_retrieval
from finecap.metrics import finegrained

CONFIG = EvaluationConfig(resamples=200)


def sheet(n: int) -> ScoreSheet:
    return ScoreSheet(n, CONFIG)


def scene(background: str, heldout: bool = False) -> dict:
    thing = {"name": "boat", "colour": "red", "size": "large"}
    return {"background": background, "objects": [thing], "relations": [], "heldout": heldout}


def records(*backgrounds: str) -> list[Record]:
    return [
        Record(f"images/{i}.png", "val", ("a boat",), facts=scene(b))  # type: ignore[arg-type]
        for i, b in enumerate(backgrounds)
    ]


def test_vocabulary_counts_distinct_words_and_its_interval_holds_the_count():
    found = sheet(3)
    found.count("vocabulary", [["a", "boat"], ["a", "red", "boat"], ["a", "house"]])
    metric = found.metrics["vocabulary"]
    assert metric["value"] == 4.0
    # Words of one image alone: 0, 1, 1; jackknife variance 2/3 * (4/9 + 1/9 + 1/9) = 4/9.
    assert metric["ci_high"] - 4.0 == pytest.approx(1.96 * 2 / 3, abs=1e-3)
    assert metric["ci_low"] == pytest.approx(8.0 - metric["ci_high"])


def test_ratio_rests_on_images_with_a_count_and_a_resample_without_any_is_left_out():
    counts = {"x_recall": np.array([1, 0])}
    scored = finegrained.FineGrained(("a", "b"), counts, counts)
    found = sheet(2)
    found.share("x_recall", scored, "x_recall")
    assert found.metrics["x_recall"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "n": 1}


def test_background_said_always_has_chance_as_its_frequency():
    own = records("sea", "sea", "city", "night")
    found = sheet(4)
    score_facts(found, own, ["a boat on the sea"] * 4, seed=0)
    assert found.metrics["background_recall"]["value"] == 0.5
    assert found.metrics["background_recall_chance"]["value"] == 0.5
    assert found.metrics["background_recall_seen"]["value"] == 0.5
    assert is_undefined(found.metrics["background_recall_heldout"])


def test_chance_of_a_single_image_is_not_defined():
    found = sheet(1)
    score_facts(found, records("sea"), ["a boat on the sea"], seed=0)
    assert is_measured(found.metrics["background_recall"])
    assert is_undefined(found.metrics["background_recall_chance"])


def test_captions_that_match_their_image_are_found_first():
    found = sheet(4)
    score_retrieval(found, "judge_", torch.eye(4), torch.eye(4))
    assert found.metrics["judge_t2i_r1"]["value"] == 1.0
    assert found.metrics["judge_clip_s"]["value"] == pytest.approx(2.5)
    score_retrieval(found, "", torch.ones(4, 4), torch.eye(4))
    assert found.metrics["t2i_r1"]["value"] == 0.0  # the same caption for all finds nothing
