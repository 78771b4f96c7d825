"""The policy file: what it may say, and that the one shipped is sound."""

from pathlib import Path

import pytest

from finecap.evaluation.labels import LOWER_IS_BETTER
from finecap.evaluation.policy import PolicyError, load_policy

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("primary = ", "not TOML"),
        ("significanse = 0.1", "significanse: Extra inputs"),
        ("significance = 2", r"significance: Input should be less than 1 \(came: 2\)"),
        ('[[guards]]\nmetric = "x"\nbetter = "more"', r"guards\.0\.better"),
    ],
)
def test_wrong_policy_is_refused_by_file_and_field(tmp_path: Path, text: str, said: str):
    path = tmp_path / "registry.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=said):
        load_policy(path)


def test_missing_policy_is_refused_by_name(tmp_path: Path):
    with pytest.raises(PolicyError, match="does not exist"):
        load_policy(tmp_path / "none.toml")
