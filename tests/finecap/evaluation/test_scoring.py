"""What each question enters into the sheet, by hand."""

from pathlib import Path

import pytest
import torch

from finecap.config import EvaluationConfig
from finecap.data.records import Record
from finecap.evaluation.results import EvaluationError, is_measured, is_undefined
from finecap.evaluation.scoring import (
    score_facts,
    score_fluency,
    score_ref_clip_s,
    score_references,
    score_retrieval,
)
from finecap.evaluation.sheet import ScoreSheet
from finecap.metrics import meteor, ngram

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


PHOTOS = [
    Record("a.png", "val", ("A dog runs.", "the dog is running")),
    Record("b.png", "val", ("a cat sits on a mat",)),
    Record("c.png", "val", ("two men", "Men walk along a street.", "two men are walking")),
]
SAID = ["a dog runs on grass", "a cat", "two men walk"]


def referenced(config: EvaluationConfig) -> ScoreSheet:
    found = sheet(len(PHOTOS))
    score_references(found, PHOTOS, SAID, config)
    return found


def test_likeness_is_that_of_the_library_with_intervals_around_it():
    found = referenced(EvaluationConfig(resamples=200, java_metrics=False))
    wanted = ngram.score(
        {record.image: record.captions for record in PHOTOS},
        {record.image: said for record, said in zip(PHOTOS, SAID, strict=True)},
    )
    for name, value in wanted.items():
        metric = found.metrics[name]
        assert metric["value"] == pytest.approx(value), name
        assert metric["ci_low"] <= metric["value"] <= metric["ci_high"], name
    assert set(found.per_image) == {"rouge_l", "cider", "cider_plain"}


def test_metrics_in_java_that_are_switched_off_say_so():
    found = referenced(EvaluationConfig(java_metrics=False)).metrics
    reason = "not computed: switched off, `java_metrics` of `evaluation` is false"
    assert found["meteor"] == found["spice"] == {"value": None, "reason": reason}


def test_without_java_they_have_no_value_and_the_others_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = referenced(CONFIG).metrics
    for name in ("meteor", "spice"):
        assert found[name]["value"] is None
        assert found[name]["reason"].startswith("not computed: needs Java")
    assert is_measured(found["cider"])


@pytest.mark.usefixtures("java")
def test_meteor_is_the_corpus_score_with_an_interval_and_no_mean_of_images():
    found = referenced(CONFIG)
    tokens = ngram.tokenised(
        {record.image: record.captions for record in PHOTOS},
        {record.image: said for record, said in zip(PHOTOS, SAID, strict=True)},
    )
    counted = meteor.statistics(*tokens, timeout_s=300)
    metric = found.metrics["meteor"]
    assert metric["value"] == pytest.approx(float(counted.scores()))
    assert metric["value"] != pytest.approx(counted.per_image().mean(), abs=1e-3)
    assert metric["ci_low"] < metric["value"] < metric["ci_high"]
    assert "meteor" not in found.per_image


@pytest.mark.usefixtures("java")
def test_a_program_out_of_time_leaves_its_reason_in_place_of_a_value():
    found = referenced(EvaluationConfig(java_timeout_s=0.2)).metrics
    reason = "not computed: METEOR took longer than 0.2 s and was ended"
    assert found["meteor"] == {"value": None, "reason": reason}


def test_two_records_of_one_image_are_refused():
    with pytest.raises(EvaluationError, match=r"one record per image; came 2 of image 'a\.png'"):
        score_references(sheet(4), [*PHOTOS, PHOTOS[0]], [*SAID, "a dog"], CONFIG)
