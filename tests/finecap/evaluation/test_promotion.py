"""The verdict on hand-made scores: every way to be kept, and the few ways to be promoted."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.evaluation.policy import Guard, Policy
from finecap.evaluation.promotion import best_challenger, decide
from finecap.evaluation.results import (
    Evaluation,
    Metric,
    not_computed,
    not_defined,
    write_evaluation,
)
from finecap.evaluation.scores import Scores, load_scores

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


def with_(base: Scores, **fields: object) -> Scores:
    return dataclasses.replace(base, **fields)


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


def test_change_that_two_digits_hide_is_said_with_three():
    decision = decide(scores("v5", 0.41), scores("v7", 0.415), POLICY)
    assert "judge R@1 0.410 -> 0.415 may be chance" in decision.reason
    policy = POLICY.model_copy(update={"guards": (POLICY.guards[0],)})
    decision = decide(scores("v5", 0.4, 0.974), scores("v7", 0.6, 0.953), policy)
    assert decision.reason.endswith("grammar rate 0.974 -> 0.953 breaches tolerance 0.02")


def test_control_is_never_promoted_not_even_as_the_first_model():
    control = with_(scores("v7", 0.9), variant="mle_alt_text")
    for champion in (None, scores("v5", 0.1)):
        decision = decide(champion, control, POLICY)
        assert not decision.promote
        assert "v7: is a control and never challenges" in decision.reason
    policy = POLICY.model_copy(update={"fallback": "mle_alt_text"})
    assert best_challenger({"mle_alt_text": control}, policy).name is None


def test_captioners_of_two_profiles_never_compete():
    champion = with_(scores("v5", 0.1), profile="scenes")
    decision = decide(champion, with_(scores("v7", 0.9), profile="smoke"), POLICY)
    said = "kept v5: v7: is of profile 'smoke', v5 of 'scenes': they never compete"
    assert (decision.promote, decision.reason) == (False, said)


def test_score_that_the_champion_has_and_the_challenger_lost_is_a_breach():
    nothing_said = {"grammatical_rate": not_defined("no caption")}
    decision = decide(scores("v5", 0.4), scores("v7", 0.6, **nothing_said), POLICY)
    assert not decision.promote
    assert "grammar rate 0.97 -> none (not defined on this data: no caption)" in decision.reason


GRAMMAR = st.sampled_from([0.7, 0.84, 0.85, 0.87, 0.9, 0.92, 0.97, 1.0])  # about the bounds
REPETITION = st.sampled_from([0.0, 0.01, 0.02, 0.04, 0.09, 0.10, 0.11, 0.6])
HITS = st.lists(st.sampled_from([0, 1]), min_size=60, max_size=60) | st.integers(0, 60).map(
    lambda count: [1] * count + [0] * (60 - count)
)


@st.composite
def any_scores(draw: st.DrawFn, name: str = "v7") -> Scores:
    """Complete scores of 60 images with guards anywhere."""
    hits = np.array(draw(HITS), dtype=np.float64)
    metrics: dict[str, Metric] = {
        "judge_t2i_r1": measured(float(hits.mean()), 60),
        "grammatical_rate": measured(draw(GRAMMAR), 60),
        "repetition_rate": measured(draw(REPETITION), 60),
        "grammar_head_rate": draw(st.just(not_computed("-")) | GRAMMAR.map(measured)),
    }
    images = tuple(f"{i:03}" for i in range(60))
    return Scores(name, metrics, "today", True, name, images, {"judge_t2i_r1": hits})


def is_sound(champion: Scores, challenger: Scores) -> bool:
    """Whether the challenger keeps all guards, counted here by hand."""
    grammar, repetition, head = (
        (champion.value(name), challenger.value(name))
        for name in ("grammatical_rate", "repetition_rate", "grammar_head_rate")
    )
    return (
        grammar[1] >= 0.85
        and grammar[0] - grammar[1] <= 0.02 + 1e-9
        and repetition[1] <= 0.10
        and repetition[1] - repetition[0] <= 0.02 + 1e-9
        and not head[0] - head[1] > 0.05 + 1e-9
    )


@given(any_scores("v5"), any_scores())
def test_no_promotion_over_a_broken_guard_and_none_without_a_rise(old: Scores, new: Scores):
    if decide(old, new, POLICY).promote:
        assert is_sound(old, new)
        assert new.value("judge_t2i_r1") > old.value("judge_t2i_r1")


@given(any_scores("v5"), any_scores())
def test_captioners_never_take_the_place_of_each_other(old: Scores, new: Scores):
    assert not (decide(old, new, POLICY).promote and decide(new, old, POLICY).promote)
    assert not decide(old, old, POLICY).promote


@given(any_scores("v5"), any_scores(), st.sets(st.integers(0, 59)))
def test_doing_better_on_an_image_never_costs_a_promotion(old: Scores, new: Scores, more: set[int]):
    free = POLICY.model_copy(update={"guards": ()})
    hits = new.per_image["judge_t2i_r1"].copy()
    hits[list(more)] = 1.0
    metrics = {**new.metrics, "judge_t2i_r1": measured(float(hits.mean()), 60)}
    better = with_(new, metrics=metrics, per_image={"judge_t2i_r1": hits})
    for policy in (POLICY, free):
        assert decide(old, better, policy).promote >= decide(old, new, policy).promote


@given(any_scores("v5"), any_scores(), st.sampled_from(["judge_t2i_r1", "grammatical_rate"]),
       st.sampled_from([float("nan"), float("inf"), None]), st.booleans())  # fmt: skip
def test_no_promotion_on_scores_that_are_lacking(
    old: Scores, new: Scores, lost: str, value: float | None, is_first: bool
):
    metrics = {**new.metrics, lost: not_computed("died") if value is None else measured(value, 60)}
    champion = None if is_first else old
    assert not decide(champion, with_(new, metrics=metrics), POLICY).promote


@given(st.lists(any_scores(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_order_of_candidates_does_not_matter(given_: list[Scores], random):
    names = ["mle", "clip_s", "cider", "mle_alt_text"][: len(given_)]
    found = {n: with_(s, name=n, variant=n) for n, s in zip(names, given_, strict=True)}
    shuffled = list(found)
    random.shuffle(shuffled)
    assert best_challenger({n: found[n] for n in shuffled}, POLICY) == best_challenger(
        found, POLICY
    )


@given(any_scores("v5"), any_scores(), st.permutations(["v5", "v7"]))
def test_names_change_the_sentence_and_nothing_else(old: Scores, new: Scores, names: list[str]):
    renamed = decide(with_(old, name=names[0]), with_(new, name=names[1]), POLICY)
    said = decide(old, new, POLICY)
    assert (renamed.promote, renamed.reevaluate) == (said.promote, said.reevaluate)


@settings(max_examples=8)
@given(any_scores(), GRAMMAR, HITS)
def test_scores_of_the_test_split_change_no_decision(
    tmp_path_factory: pytest.TempPathFactory, new: Scores, rate: float, hits: list[int]
):
    columns = {"image": new.images, "judge_t2i_r1": new.per_image["judge_t2i_r1"]}
    val = pd.DataFrame({**columns, "split": "val"})
    test = pd.DataFrame({**columns, "split": "test", "judge_t2i_r1": np.array(hits, float)})
    tested = {name: measured(rate, 1) for name in new.metrics}
    decisions = []
    for metrics, rows in (({}, val), (tested, pd.concat([test, val]))):
        folder: Path = tmp_path_factory.mktemp("scores")
        yardstick = {"val": "today", "test": f"{len(rows)}"}
        by_split = {"val": dict(new.metrics), "test": metrics}
        write_evaluation(Evaluation(by_split, val[["image"]], rows, yardstick, True), folder)
        decisions.append(decide(scores("v5", 0.1), load_scores(folder, "v7"), POLICY))
        decisions.append(decide(None, load_scores(folder, "v7"), POLICY))
    assert decisions[:2] == decisions[2:]
