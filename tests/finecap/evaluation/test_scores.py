"""What a decision reads of an evaluation, and every way in which that is not enough."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finecap.evaluation.policy import Policy
from finecap.evaluation.results import Evaluation, EvaluationError, Metric, write_evaluation
from finecap.evaluation.scores import Scores, incomplete, load_scores

N = 60
POLICY = Policy(min_n=N)


def measured(value: float, n: int = N) -> Metric:
    return {"value": value, "ci_low": value, "ci_high": value, "n": n}


def scores(value: float, hits: np.ndarray) -> Scores:
    images = tuple(f"{i}" for i in range(len(hits)))
    metrics = {"judge_t2i_r1": measured(value)}
    return Scores("v7", metrics, "x", False, "", images, {"judge_t2i_r1": hits})


def test_sound_scores_lack_nothing():
    assert incomplete(scores(0.5, np.arange(N) % 2.0), POLICY) == ""


@pytest.mark.parametrize(
    ("hits", "said"),
    [
        (np.where(np.arange(N) == 7, np.nan, 1.0), "is not finite for every image"),
        (np.ones(N - 1), "judge R@1 of 59 images, expected 60"),
        (np.ones(N), "judge R@1 is 0.5000, its images' mean 1.0000: the files are not of one"),
    ],
)
def test_images_that_do_not_bear_out_the_metric_are_a_fault(hits: np.ndarray, said: str):
    assert said in incomplete(scores(0.5, hits), POLICY)


def test_loaded_scores_are_those_of_val_alone(tmp_path: Path):
    val, test = {"judge_t2i_r1": measured(0.2)}, {"judge_t2i_r1": measured(0.9)}
    per_image = pd.DataFrame(
        {"image": ["b", "a", "c"], "split": ["val", "val", "test"], "judge_t2i_r1": [1.0, 0.0, 1.0]}
    )
    captions = pd.DataFrame({"image": ["a"], "split": ["val"], "caption": ["a dog"]})
    yardstick = {"val": "x", "test": "y"}
    write_evaluation(
        Evaluation({"val": val, "test": test}, captions, per_image, yardstick, False), tmp_path
    )
    loaded = load_scores(tmp_path, "v7", "clip_s", "scenes")
    assert loaded.metrics == val
    assert loaded.images == ("a", "b")
    assert loaded.per_image["judge_t2i_r1"].tolist() == [0.0, 1.0]
    assert (loaded.name, loaded.variant, loaded.profile) == ("v7", "clip_s", "scenes")
    assert (loaded.yardstick, loaded.facts) == ("x", False)


def test_loading_from_a_folder_without_an_evaluation_says_what_is_missing(tmp_path: Path):
    with pytest.raises(EvaluationError, match=r"evaluation\.json does not exist"):
        load_scores(tmp_path, "v7")
