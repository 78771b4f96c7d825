"""Model cards: facts of the version, and scores that were measured, val and test apart."""

from pathlib import Path

from dagster_project.assets import reward_model
from dagster_project.compared import CAPTIONER
from dagster_project.dataset_input import DataSet
from dagster_project.model_card import MODELS, version_card
from finecap.evaluation.results import Metric, not_computed

DATA = DataSet(
    "scenes",
    "4a269f21.dir",
    Path("/data"),
    {"train": 22_000, "val": 500, "test": 100},
    {"clip": 22_000},
)
TAGS = {
    "variant": "clip_s_grammar",
    "asset": "scst/clip_s_grammar",
    "profile": "scenes",
    "data_version": "f6b150cb",
    "parents": "dataset@4a269f21.dir, mle_captioner@f9fb, clip_reward/grammar@dabf",
    "config": '{"seed": 3, "weights": {"clip_s": 1.0, "grammar": 2.0}, '
    '"start_weights": {"grammar": 0.25}}',
}


def measured(value: float) -> Metric:
    return {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "n": 9}


def test_a_captioner_says_its_data_reward_and_parents_before_it_is_evaluated():
    card = version_card(CAPTIONER, TAGS, DATA)
    for line in (
        "**Captioner `clip_s_grammar`**, profile `scenes`.",
        "* data: `scenes`, md5 `4a269f21`: train 22,000 (clip 22,000), val 500, test 100 images",
        "* reward: 1 `clip_s` + 2 `grammar` (from 0.25)",
        "* made from: `mle_captioner@f9fb`, `clip_reward/grammar@dabf`",
        "* seed: 3",
        "Not evaluated yet.",
    ):
        assert line in card.splitlines()
    assert "**Intended use.**" in card
    assert "**Limits.**" in card


def test_scores_have_their_intervals_and_a_metric_without_value_is_left_out():
    scores = {
        "val": {"judge_t2i_r1": measured(0.5), "spice": not_computed("needs Java")},
        "test": {"judge_t2i_r1": measured(0.4), "repetition_rate": measured(0.2)},
    }
    card = version_card(CAPTIONER, TAGS, DATA, scores)
    lines = card.replace("&emsp;", " ").splitlines()
    assert "| metric | val | test |" in lines
    assert "| judge R@1 | 0.500 [0.400, 0.600] | 0.400 [0.300, 0.500] |" in lines
    assert "| repetition ↓ |  | 0.200 [0.100, 0.300] |" in lines
    assert "SPICE" not in card
    assert "Not evaluated" not in card


def test_an_encoder_has_no_reward_and_no_scores():
    tags = {**TAGS, "variant": "judge_clip", "config": '{"seed": 1}'}
    card = version_card("finecap-judge", tags, None)
    assert card.startswith("**Encoder that judges, and never rewards `judge_clip`**")
    assert "* reward" not in card
    assert "evaluated" not in card
    assert "* data" not in card


def test_every_registered_model_is_described():
    names = {CAPTIONER, reward_model.CLIP, reward_model.JUDGE, reward_model.CLIP_REWARD}
    assert set(MODELS) == names
