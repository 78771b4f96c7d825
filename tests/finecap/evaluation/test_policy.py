"""The policy file: what it may say, and that the one shipped is sound."""

from pathlib import Path

import pytest

from finecap.evaluation.labels import LOWER_IS_BETTER
from finecap.evaluation.policy import Guard, Policy, PolicyError, check_metrics, load_policy

SHIPPED = Path(__file__).parents[3] / "mlflow" / "registry.toml"


def test_shipped_policy_guards_fluency_on_every_kind_of_data():
    policy = load_policy(SHIPPED)
    assert policy.primary == "judge_t2i_r1"
    for facts in (True, False):
        bound = {guard.metric for guard in policy.guards if guard.binds(facts)}
        assert {"repetition_rate", "bad_ending_rate"} < bound
    for guard in policy.guards:
        assert (guard.better == "lower") == (guard.metric in LOWER_IS_BETTER)


def test_registry_folder_never_shadows_the_mlflow_package():
    assert not (SHIPPED.parent / "__init__.py").exists()


GUARD = '[[guards]]\nmetric = "x"\nbetter = "higher"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("primary = ", "not TOML"),
        ("significanse = 0.1", "significanse: unknown key, expected one of primary, min_gain"),
        ("significance = 2", r"significance: Input should be less than 1 \(came: 2\)"),
        ("min_gain = nan", r"min_gain: Input should be a finite number \(came: nan\)"),
        ('min_n = "50"', r"min_n: Input should be a valid integer \(came: '50'\)"),
        ("first_model = true", r"first_model: Input should be 'best' or 'strict'"),
        ('primary = "repetition_rate"', "primary: expected a metric of which more is better"),
        (
            '[[guards]]\nmetric = "x"\nbetter = "more"',
            r"guards\.0\.better: Input should be 'higher'",
        ),
        ('[[guards]]\nbetter = "lower"', r"guards\.0\.metric: missing, expected name of a metric"),
        (f"{GUARD}bound = nan", r"guards\.0\.bound: Input should be a finite number"),
        (f"{GUARD}bound = true", r"guards\.0\.bound: Input should be a valid number"),
        (f"{GUARD}tolerance = -1.0", r"guards\.0\.tolerance: .* greater than or equal to 0"),
        (f"{GUARD}limit = 1.0", r"guards\.0\.limit: unknown key, expected one of metric, better"),
        (GUARD, r"guards\.0: guard of x: expected bound, tolerance or both"),
        (
            '[[guards]]\nmetric = "repetition_rate"\nbetter = "higher"\nbound = 0.1',
            r"guards\.0: guard of repetition_rate: expected better = 'lower'",
        ),
        ("min_n = 0\nmin_gain = -1.0", "min_gain: .*; min_n: "),
    ],
)
def test_wrong_policy_is_refused_by_file_and_field(tmp_path: Path, text: str, said: str):
    path = tmp_path / "registry.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=said) as refused:
        load_policy(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_file_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "registry.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not TOML"):
        load_policy(path)


def test_metric_that_no_evaluation_has_is_refused_by_key(tmp_path: Path):
    guard = Guard(metric="grammatical_rte", better="higher", bound=0.9, required=False)
    policy = Policy(guards=(guard,))
    said = r"registry\.toml: guards\.0\.metric = 'grammatical_rte': no evaluation has it, expected"
    with pytest.raises(PolicyError, match=said):
        check_metrics(policy, {"judge_t2i_r1", "grammatical_rate"}, tmp_path / "registry.toml")
    check_metrics(Policy(), {"judge_t2i_r1"}, tmp_path)


def test_missing_policy_is_refused_by_name(tmp_path: Path):
    with pytest.raises(PolicyError, match="does not exist"):
        load_policy(tmp_path / "none.toml")
