"""Parameters: flat, and the same for all arms, so that MLflow's charts can draw them."""

import doctest

from dagster_project import params
from dagster_project.params import flat
from finecap.config import load_profile
from finecap.rewards.registry import BUILT_IN

SCST = load_profile("scenes").scst


def test_examples():
    assert doctest.testmod(params).failed == 0


def arm(name: str) -> dict[str, str]:
    return flat(SCST[name].model_dump(mode="json"))


def test_every_arm_has_the_same_parameters_and_its_weights_are_numbers():
    names = {frozenset(arm(name)) for name in SCST}
    assert len(names) == 1
    assert {f"weights.{term}" for term in BUILT_IN} <= names.pop()
    assert {float(v) for k, v in arm("clip_s").items() if k.startswith("weights.")} == {0.0, 1.0}


def test_what_differs_first_by_the_alphabet_are_the_rewards_weights():
    """MLflow's compare page draws the first three parameters that differ."""
    arms = [arm(name) for name in SCST if name not in load_profile("scenes").optional]
    differing = sorted(name for name in arms[0] if len({each[name] for each in arms}) > 1)
    assert differing[:3] == ["weights.cider", "weights.clip_s", "weights.grammar"]


def test_a_term_begins_at_its_weight_unless_told_otherwise():
    grammar = arm("clip_s_grammar")
    assert (grammar["weights.grammar"], grammar["weights_at_start.grammar"]) == ("2.0", "0.25")
    assert (grammar["weights.clip_s"], grammar["weights_at_start.clip_s"]) == ("1.0", "1.0")
    assert grammar["weights_at_start.cider"] == "0.0"


def test_a_plug_ins_term_is_among_the_weights():
    assert flat({"weights": {"politeness": 0.5}})["weights.politeness"] == "0.5"


def test_settings_that_hold_nothing_are_empty_and_not_left_out():
    assert flat({"splits": [], "extra": {}}) == {"splits": "", "extra": ""}
