"""The study's seeds and its table."""

import io

import pytest
from PIL import Image

from dagster_project.definitions import all_assets
from dagster_project.study import picture, seeded, summary
from finecap.config import load_profile


def test_every_stage_that_trains_is_seeded_and_the_data_is_not():
    ops = seeded(all_assets(load_profile("scenes")), 2)
    seeds = {name: op["config"]["seed"] for name, op in ops.items()}
    assert seeds["base_clip"] == seeds["scst__clip_s"] == seeds["grammar_negatives"] == 2
    assert seeds["judge_clip"] == load_profile("scenes").judge_clip.seed + 2
    assert not [name for name in seeds if name.startswith(("dataset", "evaluation"))]


def test_summary_gives_mean_and_spread_of_test_metrics():
    scores = {0: {"mle": {"test/cider": 1.0, "val/cider": 9.0}}, 1: {"mle": {"test/cider": 3.0}}}
    content = summary(load_profile("smoke"), "md5", scores)
    (cider,) = content["variants"]["mle"].values()
    assert cider == {"mean": 2.0, "sd": pytest.approx(2**0.5), "values": [1.0, 3.0]}
    assert content["seeds"] == [0, 1]


def test_one_seed_has_no_spread():
    content = summary(load_profile("smoke"), "md5", {0: {"mle": {"test/cider": 1.0}}})
    assert content["variants"]["mle"]["cider"]["sd"] is None


def test_the_picture_shows_every_variant_and_the_seeds_around_it():
    metrics = {"test/judge_t2i_r1": 0.5, "test/grammatical_rate": 0.9}
    other = {name: value + 0.05 for name, value in metrics.items()}
    scores = {0: {"mle": metrics, "cider": other}, 1: {"mle": other, "cider": other}}
    profile = load_profile("smoke")
    drawn = picture(summary(profile, "md5", scores))
    assert Image.open(io.BytesIO(drawn)).size[0] > 600
    assert drawn != picture(summary(profile, "md5", {0: scores[0]}))
