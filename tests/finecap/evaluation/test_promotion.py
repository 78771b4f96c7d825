"""The verdict on hand-made scores: every way to be kept, and the few ways to be promoted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finecap.evaluation.policy import Guard, Policy
from finecap.evaluation.promotion import (
    Scores,
    best_challenger,
    decide,
    load_scores,
    paired_p_value,
)
from finecap.evaluation.results import (
    Evaluation,
    EvaluationError,
    Metric,
    not_computed,
    not_defined,
    write_evaluation,
)

POLICY = Policy(
    min_n=50,
    controls=("mle_alt_text",),
    guards=(
        Guard(metric="grammatical_rate", better="higher", bound=0.85, tolerance=0.02),
        Guard(metric="repetition_rate", better="lower", bound=0.10, tolerance=0.02),
        Guard(metric="grammar_head_rate", better="higher", tolerance=0.05, required=False),
    ),
)
N = 200


def measured(value: float, n: int = N) -> Metric:
    return {"value": value, "ci_low": value - 0.01, "ci_high": value + 0.01, "n": n}


def scores(
    name: str, r1: float, grammar: float = 0.97, repetition: float = 0.01, **more: Metric
) -> Scores:
    hits = np.zeros(N)
    hits[: round(r1 * N)] = 1
    metrics: dict[str, Metric] = {
        "judge_t2i_r1": measured(r1),
        "grammatical_rate": measured(grammar),
        "repetition_rate": measured(repetition),
        "grammar_head_rate": not_computed("no head was given"),
    }
    images = tuple(f"images/{i:03}.png" for i in range(N))
    per_image = {"judge_t2i_r1": hits}
    return Scores(name, {**metrics, **more}, "today", True, name, images, per_image)


def with_(given: Scores, **fields: object) -> Scores:
    kept = {name: getattr(given, name) for name in Scores.__dataclass_fields__}
    return Scores(**{**kept, **fields})


def test_significant_rise_with_sound_guards_is_promoted():
    decision = decide(scores("v5", 0.41), scores("v7", 0.52), POLICY)
    assert decision.promote
    assert decision.reason == "promoted v7: judge R@1 0.41 -> 0.52 (p < 0.001); guards ok"


def test_guard_beyond_tolerance_keeps_the_champion_however_great_the_rise():
    decision = decide(scores("v5", 0.1), scores("v7", 0.9, grammar=0.88), POLICY)
    assert not decision.promote
    assert decision.reason == "kept v5: grammar rate 0.97 -> 0.88 breaches tolerance 0.02"


def test_guard_at_its_tolerance_holds():
    assert decide(scores("v5", 0.41), scores("v7", 0.52, grammar=0.95), POLICY).promote


def test_lower_is_better_guard_breaks_upwards():
    decision = decide(scores("v5", 0.4), scores("v7", 0.6, repetition=0.05), POLICY)
    assert decision.reason == "kept v5: repetition 0.01 -> 0.05 breaches tolerance 0.02"


def test_absolute_bound_binds_even_where_the_champion_is_worse():
    worse = scores("v5", 0.4, grammar=0.80)
    decision = decide(worse, scores("v7", 0.6, grammar=0.84), POLICY)
    assert decision.reason == "kept v5: grammar rate 0.840 is below the floor 0.85"


def test_rise_that_may_be_chance_keeps_the_champion():
    decision = decide(scores("v5", 0.41), scores("v7", 0.415), POLICY)
    assert not decision.promote
    assert "may be chance (p = " in decision.reason


@pytest.mark.parametrize("r1", [0.41, 0.30])
def test_no_rise_keeps_the_champion(r1: float):
    decision = decide(scores("v5", 0.41), scores("v7", r1), POLICY)
    assert decision.reason == f"kept v5: judge R@1 0.41 -> {r1:.2f} does not rise"


def test_rise_below_the_minimum_gain_keeps_the_champion():
    policy = POLICY.model_copy(update={"min_gain": 0.2})
    decision = decide(scores("v5", 0.41), scores("v7", 0.52), policy)
    assert decision.reason.endswith("does not rise by more than 0.2")


def test_champion_scored_on_other_data_has_to_be_evaluated_again():
    old = with_(scores("v5", 0.41), yardstick="last week")
    decision = decide(old, scores("v7", 0.52), POLICY)
    assert (decision.promote, decision.reevaluate) == (False, True)
    assert "evaluate it again on today's val" in decision.reason


def test_champion_with_a_partial_evaluation_has_to_be_evaluated_again():
    old = with_(scores("v5", 0.41), metrics={})
    decision = decide(old, scores("v7", 0.52), POLICY)
    assert decision.reevaluate
    assert "judge R@1 is missing" in decision.reason


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"judge_t2i_r1": not_computed("judge is gone")}, "judge R@1: not computed: judge is gone"),
        ({"judge_t2i_r1": measured(float("nan"))}, "failed evaluation, judge R@1 is not finite"),
        ({"judge_t2i_r1": measured(0.9, n=49)}, "judge R@1 rests on 49 images, expected 50"),
        ({"grammatical_rate": not_computed("crashed")}, "grammar rate: not computed: crashed"),
        ({"grammar_head_rate": measured(float("nan"))}, "grammar head rate is not finite"),
    ],
)
@pytest.mark.parametrize("champion", [None, scores("v5", 0.1)])
def test_partial_or_failed_evaluation_is_never_promoted(
    broken: dict[str, Metric], said: str, champion: Scores | None
):
    decision = decide(champion, scores("v7", 0.9, **broken), POLICY)
    assert not decision.promote
    assert said in decision.reason


def test_metric_absent_from_the_file_is_a_partial_evaluation():
    challenger = scores("v7", 0.9)
    metrics = {k: m for k, m in challenger.metrics.items() if k != "repetition_rate"}
    decision = decide(None, with_(challenger, metrics=metrics), POLICY)
    assert "partial evaluation, repetition is missing" in decision.reason


def test_guard_without_meaning_on_this_data_is_passed_over():
    photos = {"grammatical_rate": not_defined("no facts")}
    assert decide(scores("v5", 0.4, **photos), scores("v7", 0.6, **photos), POLICY).promote


def test_guard_for_photos_does_not_bind_in_the_drawn_world():
    strict = Guard(metric="repetition_rate", better="lower", bound=0.0, where="no_facts")
    policy = POLICY.model_copy(update={"guards": (strict,)})
    challenger = scores("v7", 0.6)
    assert decide(None, challenger, policy).promote
    assert not decide(None, with_(challenger, facts=False), policy).promote


def test_first_model_within_bounds_is_promoted_with_a_reason():
    decision = decide(None, scores("v1", 0.5), POLICY)
    assert decision.reason == "promoted v1: first model, judge R@1 0.50; guards ok"


def test_first_model_outside_bounds_is_refused_unless_it_is_the_fallback():
    broken = scores("v1", 0.5, grammar=0.2)
    assert not decide(None, broken, POLICY).promote
    stand_in = decide(None, with_(broken, variant="mle"), POLICY)
    assert stand_in.promote
    assert "stands in although grammar rate 0.200 is below the floor" in stand_in.reason
    strict = POLICY.model_copy(update={"first_model": "strict"})
    assert not decide(None, with_(broken, variant="mle"), strict).promote


def test_without_pairs_the_intervals_must_be_apart():
    champion = with_(scores("v5", 0.41), per_image={})
    assert decide(champion, scores("v7", 0.52), POLICY).promote
    decision = decide(champion, scores("v7", 0.42), POLICY)
    assert "no pairs of images; intervals overlap" in decision.reason


def test_best_challenger_is_the_highest_among_those_that_pass():
    variants = {
        "mle": scores("mle", 0.02),
        "clip_s": scores("clip_s", 0.7, grammar=0.3),
        "clip_s_grammar": scores("clip_s_grammar", 0.6),
        "mle_alt_text": scores("mle_alt_text", 0.9),
    }
    choice = best_challenger(variants, POLICY)
    assert choice.name == "clip_s_grammar"
    assert "below the floor" in choice.reasons["clip_s"]
    assert "control" in choice.reasons["mle_alt_text"]
    assert next(iter(choice.reasons)) == "mle"


def test_fallback_stands_in_only_while_there_is_no_champion():
    variants = {v: scores(v, 0.5, grammar=0.3) for v in ("mle", "clip_s")}
    assert best_challenger(variants, POLICY).name == "mle"
    assert best_challenger(variants, POLICY, champion=scores("v5", 0.1)).name is None
    strict = POLICY.model_copy(update={"first_model": "strict"})
    assert best_challenger(variants, strict).name is None


def test_a_fallback_that_was_not_evaluated_does_not_stand_in():
    variants = {"mle": with_(scores("mle", 0.5), metrics={})}
    assert best_challenger(variants, POLICY).name is None


def test_allowed_drop_against_the_champion_counts_when_choosing():
    variants = {"clip_s": scores("clip_s", 0.7, grammar=0.9), "mle": scores("mle", 0.3)}
    assert best_challenger(variants, POLICY).name == "clip_s"
    assert best_challenger(variants, POLICY, champion=scores("v5", 0.1)).name == "mle"


def test_p_value_is_one_for_equal_arms_and_counts_all_sign_flips():
    zeros = np.zeros(10)
    assert paired_p_value(zeros, zeros) == 1.0
    # Five gains, no loss: one of 2^5 sign patterns is as great.
    challenger = np.r_[np.ones(5), np.zeros(5)]
    assert paired_p_value(zeros, challenger) == pytest.approx(1 / 32, abs=0.006)


def test_p_value_is_about_uniform_when_nothing_differs():
    generator = np.random.default_rng(1)
    p = [paired_p_value(*(generator.random((2, 60)) < 0.4).astype(float)) for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) < 0.13


def test_p_value_refuses_arrays_that_are_no_pairs():
    with pytest.raises(ValueError, match="expected pairs"):
        paired_p_value(np.zeros(3), np.zeros(4))


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
    loaded = load_scores(tmp_path, "v7", "clip_s")
    assert loaded.metrics == val
    assert loaded.images == ("a", "b")
    assert loaded.per_image["judge_t2i_r1"].tolist() == [0.0, 1.0]
    assert (loaded.name, loaded.variant, loaded.yardstick, loaded.facts) == (
        "v7",
        "clip_s",
        "x",
        False,
    )


def test_loading_from_a_folder_without_an_evaluation_says_what_is_missing(tmp_path: Path):
    with pytest.raises(EvaluationError, match=r"evaluation\.json does not exist"):
        load_scores(tmp_path, "v7")
