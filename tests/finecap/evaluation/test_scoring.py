"""What each question enters into the sheet, by hand."""

import pytest
import torch

from finecap.config import EvaluationConfig
from finecap.data.records import Record
from finecap.evaluation.results import is_measured, is_undefined
from finecap.evaluation.scoring import (
    score_facts,
    score_fluency,
    score_ref_clip_s,
    score_retrieval,
)
from finecap.evaluation.sheet import ScoreSheet

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


def test_captions_that_match_their_image_are_found_first_both_ways():
    found = sheet(4)
    score_retrieval(found, "judge_", torch.eye(4), torch.eye(4))
    for direction in ("t2i", "i2t"):
        assert found.metrics[f"judge_{direction}_r1"]["value"] == 1.0
        assert found.metrics[f"judge_{direction}_median_rank"] == {
            "value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "n": 4,
        }  # fmt: skip
    assert found.metrics["judge_clip_s"]["value"] == pytest.approx(2.5)


def test_one_caption_for_all_is_found_by_chance_both_ways():
    found = sheet(4)
    score_retrieval(found, "", torch.ones(4, 4), torch.eye(4))
    for direction in ("t2i", "i2t"):
        assert found.metrics[f"{direction}_r1"]["value"] == 0.25
        assert found.metrics[f"{direction}_median_rank"]["value"] == 2.5
        assert found.per_image[f"{direction}_rank"].tolist() == [2.5] * 4


def test_directions_are_told_apart():
    captions = torch.tensor([[1.0, 0], [1, 0.1]])  # both nearest to the first image
    images = torch.tensor([[1.0, 0], [1, 0.3]])  # whose own captions are nearest to each
    found = sheet(2)
    score_retrieval(found, "", captions, images)
    assert found.per_image["t2i_rank"].tolist() == [1, 2]
    assert found.per_image["i2t_rank"].tolist() == [1, 1]


def test_ref_clip_s_reads_each_images_own_references():
    own = [
        Record("a.png", "val", ("one", "two")),
        Record("b.png", "val", ("three",)),
    ]
    found = sheet(2)
    eye = torch.eye(2)
    score_ref_clip_s(found, "judge_", own, eye, eye, torch.tensor([[0.0, 1], [1, 0], [1, 0]]))
    # 2.5 and the best reference's cosine: 1 for the first, 0 for the second.
    assert found.per_image["judge_ref_clip_s"].tolist() == pytest.approx([2 * 2.5 / 3.5, 0])


def test_fluency_of_captions_by_hand():
    found = sheet(3)
    score_fluency(found, ["a boat", "a boat on a boat", "red red boat on the"])
    values = {name: metric["value"] for name, metric in found.metrics.items()}
    assert values == pytest.approx(
        {
            "repetition_rate": 2 / 3,
            "stutter_rate": 1 / 3,
            "repeated_3gram_rate": 0,
            "bad_ending_rate": 1 / 3,
            "mean_length": 4,
            "vocabulary": 5,
            "distinct_1": 5 / 12,
            "distinct_2": 6 / 9,
        }
    )
