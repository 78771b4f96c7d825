"""Terms are found by name, built in or brought by an installed package."""

from pathlib import Path

import pytest

from finecap.rewards import BUILT_IN, Ingredients, Reward, RewardBatch
from finecap.rewards.registry import plug_ins

SOURCE = """
import torch

class Politeness:
    def __init__(self, ingredients):
        self.bonus = ingredients.options.length_slack

    def __call__(self, batch):
        return batch.each(lambda texts: torch.tensor([self.bonus * ("night" in t) for t in texts]))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution with one entry point on the path, as pip would."""

    def put(name: str, distribution: str = "politeness", factory: str = "Politeness") -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(
            f"[finecap.rewards]\n{name} = finecap_politeness:{factory}\n"
        )
        (tmp_path / "finecap_politeness.py").write_text(SOURCE)
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_an_installed_packages_term_rewards(install, batch: RewardBatch) -> None:
    install("politeness")
    total, means = Reward({"politeness": 2.0, "repetition": 1.0}, Ingredients())(batch)
    assert total.tolist() == [[0, 0, 0], [0, 8, 0]]
    assert means["politeness"] == pytest.approx(4 / 6)


def test_an_unknown_term_is_refused_with_those_there_are(install) -> None:
    install("politeness")
    with pytest.raises(ValueError, match=r"unknown reward term `beauty`.*clip_s, .*politeness"):
        Reward({"beauty": 1.0}, Ingredients())


def test_a_plug_in_may_not_take_a_built_in_terms_name(install) -> None:
    install("clip_s")
    with pytest.raises(ValueError, match=r"entry point `clip_s` .*has that name; rename one"):
        plug_ins()


def test_two_plug_ins_of_one_name_are_refused(install) -> None:
    install("politeness")
    install("politeness", "courtesy", "Courtesy")
    with pytest.raises(ValueError, match=r"entry point `politeness` .*rename one"):
        plug_ins()


def test_every_built_in_term_bears_the_name_it_is_found_by() -> None:
    assert all(getattr(factory, "name", None) == name for name, factory in BUILT_IN.items())
