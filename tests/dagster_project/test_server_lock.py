"""The lock that an MLflow keeps is one holder's at a time, and outlives none that was killed."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dagster_project import server_lock
from dagster_project.home import Home
from dagster_project.server_lock import LockLostError, ServerLock
from dagster_project.tracking import Tracker
from mlflow import MlflowClient, MlflowException

NAME = "finecap-captioner.lock"


@pytest.fixture
def client(home: Home, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Of a store whose holders are given up after a few looks."""
    monkeypatch.setattr(server_lock, "LOOK_S", 0.01)
    monkeypatch.setattr(server_lock, "LEASE_S", 0.05)
    return Tracker(home.mlflow, "finecap-test", "").client


def names(client: MlflowClient) -> list[str]:
    return [model.name for model in client.search_registered_models()]


def test_it_is_held_within_its_block_alone(client: MlflowClient):
    with ServerLock(client, NAME).held():
        assert names(client) == [NAME]
        assert ", process " in (client.get_registered_model(NAME).description or "")
    assert names(client) == []


def test_one_at_a_time_holds_it(client: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_lock, "LEASE_S", 60.0)
    inside: list[int] = []

    def visit(number: int) -> None:
        with ServerLock(client, NAME).held():
            inside.append(number)
            assert inside == [number]
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, range(8)))


def test_a_killed_holder_is_put_aside_by_one_of_those_who_wait(client: MlflowClient):
    client.create_registered_model(NAME, description="dead@host, process 1, abcdef012345")
    inside: list[int] = []

    def visit(number: int) -> None:
        with ServerLock(client, NAME).held():
            inside.append(number)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(visit, range(2)))
    assert sorted(inside) == [0, 1]
    assert names(client) == [f"{NAME}.abcdef012345"]


def test_who_comes_late_to_put_the_dead_aside_takes_nobody_elses(client: MlflowClient):
    client.create_registered_model(f"{NAME}.abcdef012345")  # as another has done by now
    lock = ServerLock(client, NAME)
    with lock.held():
        lock._put_aside("dead@host, process 1, abcdef012345")
        assert NAME in names(client)


def test_a_lock_that_was_made_but_for_the_answer_is_held(client: MlflowClient):
    class LostAnswer:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def create_registered_model(self, *args: Any, **kwargs: Any) -> None:
            client.create_registered_model(*args, **kwargs)
            client.create_registered_model(*args, **kwargs)  # as its HTTP client asks again

    with ServerLock(LostAnswer(), NAME).held():  # type: ignore[arg-type]
        assert names(client) == [NAME]
    assert names(client) == []


def test_a_slow_holder_does_no_more_and_leaves_the_lock(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    lock = ServerLock(client, NAME)
    with lock.held():
        lock.check()
        monkeypatch.setattr(server_lock, "SAFE_S", 0.0)
        with pytest.raises(LockLostError, match=f"may be at it by now .{NAME}.: nothing was moved"):
            lock.check()
    assert names(client) == [NAME]


def test_another_error_of_mlflows_is_no_holder(client: MlflowClient):
    with pytest.raises(MlflowException, match="Names cannot contain"):
        ServerLock(client, "a/b").held().__enter__()
