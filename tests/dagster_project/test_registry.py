"""Moves in the registry: written for people and pipeline alike, whole after any kill."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from dagster_project import registry as registry_module
from dagster_project.history import Actor, Kind
from dagster_project.home import Home
from dagster_project.registry import CHAMPION, LastDecision, MovedMeanwhileError, Registry
from dagster_project.tracking import Tracker

PIPELINE = Actor("ci@host", "pipeline run 1a2b3c4d", is_person=False)
PERSON = Actor("alice@host", "finecap promote", is_person=True)
WRITES = ("set_registered_model_tag", "set_registered_model_alias", "set_model_version_tag",
          "delete_registered_model_tag", "delete_model_version_tag")  # fmt: skip


@pytest.fixture
def registry(home: Home) -> Registry:
    """With versions 1 to 3, none of them champion."""
    registry = Registry(Tracker(home.mlflow, "finecap-test", ""))
    registry.client.create_registered_model(registry.name)
    for _ in range(3):
        registry.client.create_model_version(registry.name, "file:///none")
    return registry


def promote(registry: Registry, after: str, actor: Actor = PERSON, why: str = "reads better"):
    return registry.move(Kind.PROMOTION, registry.champion, after, actor, why)


def changes(registry: Registry) -> list[tuple[str, str]]:
    return [(move.before, move.after) for move in registry.history()]


def test_move_says_who_when_why_from_and_to_where_people_look(registry: Registry):
    promote(registry, "1", PIPELINE, "promoted v1: first model")
    move = promote(registry, "2")
    assert registry.champion == "2"
    tags = registry.client.get_registered_model(registry.name).tags
    for text in (move.at, '"from": "1"', '"to": "2"', "alice@host", "finecap promote", "better"):
        assert text in tags["champion.0002"]
    version = registry.versions()["2"].tags
    assert version["champion_since"] == registry.versions()["1"].tags["champion_until"] == move.at
    assert (version["champion_by"], version["champion_why"], version["champion_from"]) == (
        "alice@host, finecap promote", "reads better", "v1",
    )  # fmt: skip


def test_version_that_comes_back_reigns_again(registry: Registry):
    for version in ("1", "2", "1"):
        promote(registry, version)
    assert "champion_until" not in registry.versions()["1"].tags
    assert "champion_until" in registry.versions()["2"].tags


def test_decision_of_the_pipeline_names_its_version_and_a_persons_none(registry: Registry):
    promote(registry, "1", PIPELINE)
    assert registry.last_decision() == LastDecision("1", 3)
    registry.client.create_model_version(registry.name, "file:///none")
    promote(registry, "2", PERSON)
    assert registry.last_decision() == LastDecision("", 4)


def test_move_from_another_start_than_today_is_refused(registry: Registry):
    promote(registry, "1")
    with pytest.raises(MovedMeanwhileError, match="champion is v1, expected v3"):
        registry.move(Kind.PROMOTION, "3", "2", PERSON, "")
    assert registry.champion == "1"


def test_move_in_the_mlflow_ui_is_noticed_once(registry: Registry):
    promote(registry, "1", PIPELINE)
    registry.point(CHAMPION, "3")
    for _ in range(2):
        registry.settle()
    assert changes(registry) == [("", "1"), ("1", "3")]
    noticed = registry.history()[-1]
    assert (noticed.kind, noticed.by) == (Kind.NOTICED, "unknown")
    assert "MLflow" in noticed.means
    assert registry.last_decision() == LastDecision("1", 3)


def test_deleted_alias_is_noticed(registry: Registry):
    promote(registry, "1")
    registry.client.delete_registered_model_alias(registry.name, CHAMPION)
    registry.settle()
    assert changes(registry)[-1] == ("1", "")


def test_champion_of_a_store_without_history_starts_it(registry: Registry):
    registry.point(CHAMPION, "2")
    text = '{"version": "2", "seen": 3, "moving_to": ""}'  # as it was written before
    registry.client.set_registered_model_tag(registry.name, "finecap.last_decision", text)
    registry.settle()
    (move,) = registry.history()
    assert (move.before, move.after, move.means) == ("", "2", "pipeline")
    assert registry.last_decision() == LastDecision("2", 3)


def test_history_forgets_its_oldest_moves(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry_module, "KEPT", 3)
    for version in ("1", "2", "3", "1", "2"):
        promote(registry, version)
    assert changes(registry) == [("2", "3"), ("3", "1"), ("1", "2")]
    assert [move.number for move in registry.history()] == [3, 4, 5]


class Killed(BaseException):
    """The process ends here."""


def killed_before(registry: Registry, write: int, do: Callable[[], object]) -> bool:
    """Whether `do` was killed, before its write of that number."""
    real, count = registry.client, iter(range(1000))

    class Client:
        def __getattr__(self, name: str):
            if name in WRITES and next(count) == write:
                raise Killed
            return getattr(real, name)

    registry.client = Client()
    try:
        do()
    except Killed:
        return True
    finally:
        registry.client = real
    return False


@pytest.mark.parametrize("write", [0, 1, 2, 3, 7, 8, 9, 10])
def test_kill_at_any_write_leaves_a_move_that_happened_whole_or_not_at_all(
    registry: Registry, write: int
):
    promote(registry, "1", PIPELINE)
    registry.client.create_model_version(registry.name, "file:///none")
    is_killed = killed_before(registry, write, lambda: promote(registry, "2"))
    assert is_killed == (write < 10)
    registry.settle()
    assert "champion.moving" not in registry.client.get_registered_model(registry.name).tags
    has_moved = registry.champion == "2"
    assert has_moved == (write >= 2)
    assert changes(registry) == [("", "1"), ("1", "2")][: 1 + has_moved]
    assert registry.last_decision() == (LastDecision("", 4) if has_moved else LastDecision("1", 3))
    if has_moved:
        assert registry.history()[-1].by == "alice@host"
        assert registry.versions()["2"].tags["champion_why"] == "reads better"


def test_two_processes_at_once_make_one_history(registry: Registry, home: Home):
    def climb(version: str) -> None:
        mine = Registry(Tracker(home.mlflow, "finecap-test", ""))
        for _ in range(4):
            try:
                promote(mine, version)
            except MovedMeanwhileError:
                continue

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(climb, ("1", "2")))
    moves = registry.history()
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert all(one.after == next_.before for one, next_ in pairwise(moves))
    assert registry.champion == moves[-1].after
