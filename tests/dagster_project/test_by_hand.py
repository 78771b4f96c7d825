"""A person's word from a shell: what is done, what is refused, and what the history keeps."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.by_hand import Desk, NotMovedError
from dagster_project.history import MAX_REASON, Actor, Kind
from dagster_project.home import Home
from dagster_project.registry import CHALLENGER, CHAMPION
from finecap.cli import UsageError
from tests.dagster_project.champions import Champions
from tests.dagster_project.conftest import ROOT
from tests.finecap.conftest import tiny

__all__ = ["tiny"]


@pytest.fixture(scope="module")
def registered(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, tiny: SimpleNamespace
) -> Iterator[Champions]:
    """v1 `mle` and v2 `clip_s`; registering them takes seconds, so it is done once."""
    home = Home(ROOT, tmp_path_factory.mktemp("home"))
    home.mlflow.mkdir()
    shutil.copy(empty_store, home.mlflow)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Champions(home, instance, tiny)
        made.train("mle", 0.1)
        made.train("clip_s", 0.6)
        yield made


@pytest.fixture
def champions(registered: Champions) -> Champions:
    """v2 is champion by the pipeline's word, and nothing else ever happened."""
    registered.forget_from("3")
    pipeline = Actor("ci@host", "pipeline run 1a2b3c4d", is_person=False)
    registered.registry.move(Kind.PROMOTION, "", "2", pipeline, "promoted v2: first model")
    return registered


def test_promotion_by_hand_says_what_it_did_and_what_the_policy_would_have(champions: Champions):
    moved = Desk(champions.home).promote("v1", "reads\nbetter")
    assert moved is not None
    assert champions.registry.champion == "1"
    first, second, third = moved.text.splitlines()
    assert first == "v2 -> v1 (mle) is champion"
    assert second == f"by {moved.move.by} at {moved.move.at}: reads better"
    assert third == "policy: kept v2: judge R@1 0.60 -> 0.10 does not rise"


def test_word_of_a_person_stands_until_a_better_version_is_trained(champions: Champions):
    desk = Desk(champions.home)
    desk.promote("1")
    champions.decide()
    assert champions.registry.champion == "1"
    better = champions.train("clip_s", 0.5, seed=3)
    champions.decide()
    assert champions.registry.champion == better
    assert desk.rollback("too long").move.after == "1"
    assert desk.rollback().move.after == "2"
    with pytest.raises(NotMovedError, match="no champion before v2: its history begins with v2"):
        desk.rollback()
    champions.decide()
    assert champions.registry.champion == "2"
    whys = [move.why for move in champions.registry.history()]
    assert whys[-2:] == ["too long", "no reason given"]
    assert whys[2].startswith(f"promoted v{better}: judge R@1 0.10 -> 0.50")


def test_move_in_the_mlflow_ui_can_be_rolled_back(champions: Champions):
    champions.registry.point(CHAMPION, "1")
    assert Desk(champions.home).rollback().move.after == "2"


def test_version_is_named_by_number_or_as_challenger(champions: Champions):
    desk = Desk(champions.home)
    desk.promote("1")
    champions.registry.point(CHALLENGER, "2")
    assert desk.promote("challenger").move.after == "2"
    assert desk.promote("2") is None
    assert len(champions.registry.history()) == 3


def test_unknown_version_is_refused_with_those_there_are(champions: Champions):
    desk = Desk(champions.home)
    for wanted in ("9", "latest", ""):
        with pytest.raises(UsageError, match=r"expected one of: v1 mle, v2 clip_s$"):
            desk.promote(wanted)
    with pytest.raises(UsageError, match="at most 1000"):
        desk.promote("1", "x" * (MAX_REASON + 1))
    assert champions.registry.champion == "2"


def test_version_without_its_files_is_refused_even_with_force(champions: Champions):
    version = champions.train("clip_s", 0.9)
    model = champions.registry.versions()[version].source.removeprefix("models:/")
    shutil.rmtree(champions.home.mlflow / "artifacts" / "models" / model)
    with pytest.raises(NotMovedError, match="cannot be champion: its files are gone; train it"):
        Desk(champions.home).promote(version, force=True)
    assert champions.registry.champion == "2"


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("profile", "smoke", "it is of profile 'smoke', expected 'test'"),
        ("variant", "mle_alt_text", "mle_alt_text is a control"),
        ("evaluation", "evaluation/mle@gone", "it was never evaluated, or its evaluation is gone"),
    ],
)
def test_version_nobody_should_want_is_refused_unless_forced(
    champions: Champions, tag: str, value: str, said: str
):
    desk = Desk(champions.home)
    before = champions.registry.versions()["1"].tags[tag]
    champions.registry.client.set_model_version_tag("finecap-captioner", "1", tag, value)
    with pytest.raises(NotMovedError, match=f"{said}.*--force does all the same"):
        desk.promote("1")
    assert champions.registry.champion == "2"
    moved = desk.promote("1", "I know", force=True)
    assert moved.move.why.startswith(f"I know (forced, although {said}")
    champions.registry.client.set_model_version_tag("finecap-captioner", "1", tag, before)


def test_version_that_breaks_a_bound_of_the_policy_is_refused_unless_forced(champions: Champions):
    salad = champions.train("clip_s", 0.9, grammatical_rate=0.01)
    desk = Desk(champions.home)
    with pytest.raises(NotMovedError, match=r"not promoted: grammar rate 0\.010 is below"):
        desk.promote(salad)
    assert "forced" in desk.promote(salad, force=True).text


def test_rollback_over_a_deleted_version_says_so(champions: Champions):
    desk = Desk(champions.home)
    gone, later = champions.train("mle", 0.2), champions.train("clip_s", 0.9)
    desk.promote(gone)
    desk.promote(later)
    champions.registry.client.delete_model_version("finecap-captioner", gone)
    assert desk.rollback("no").move.why == f"no (v{gone} was deleted)"
    assert champions.registry.champion == "2"


def test_home_without_a_registry_is_refused_by_name(home: Home):
    with pytest.raises(NotMovedError, match=r"no captioner is registered in .*run the pipeline"):
        Desk(home)
    (home.mlflow / "mlflow.db").unlink()
    with pytest.raises(NotMovedError, match="no captioner is registered"):
        Desk(home)
    assert not (home.mlflow / "mlflow.db").exists()
