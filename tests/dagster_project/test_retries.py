"""A network's failures are tried again, and no others."""

import errno
import os
import urllib.error

import dagster as dg
import pytest

from dagster_project import retries
from dagster_project.outage import GaveUpError
from dagster_project.retries import is_passing
from dagster_project.run_config import Forcible
from dagster_project.stages import Stages, stage
from dagster_project.tracking_store import MlflowUnreachableError
from finecap.training.loop import TrainingDiverged


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (ConnectionResetError(), retries.MAX_RETRIES + 1),
        (MlflowUnreachableError(), retries.MAX_RETRIES + 1),
        (TrainingDiverged("loss is nan at step 7"), 1),
    ],
)
def test_an_asset_is_tried_again_after_what_passes_alone(
    error: Exception, tries: int, resources, instance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retries, "WAIT_S", 0.0)
    seen: list[int] = []

    @stage(Forcible, None, group="test", modules=())
    def asset(
        context: dg.AssetExecutionContext, config: Forcible, stages: Stages
    ) -> dg.MaterializeResult:
        def work(_folder, _log):
            seen.append(context.retry_number)
            raise error

        return stages.run(context, config, [], work)

    outcome = dg.materialize([asset], resources=resources, instance=instance, raise_on_error=False)
    assert not outcome.success
    assert seen == list(range(tries))


def test_an_asset_that_is_answered_at_last_is_made(resources, instance, monkeypatch):
    monkeypatch.setattr(retries, "WAIT_S", 0.0)

    @stage(Forcible, None, group="test", modules=())
    def asset(
        context: dg.AssetExecutionContext, config: Forcible, stages: Stages
    ) -> dg.MaterializeResult:
        if context.retry_number < 2:
            raise TimeoutError
        return stages.run(context, config, [], lambda _folder, _log: {})

    assert dg.materialize([asset], resources=resources, instance=instance).success


def test_what_passes_by_itself_is_told_from_what_does_not():
    assert is_passing(urllib.error.URLError(ConnectionRefusedError()))
    assert is_passing(TimeoutError())
    assert not is_passing(GaveUpError())
    assert not is_passing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not is_passing(urllib.error.URLError("unknown url type"))
    assert not is_passing(MemoryError())


def test_a_database_that_went_away_passes_and_a_wrong_query_does_not():
    psycopg = pytest.importorskip("psycopg")
    assert is_passing(psycopg.OperationalError("connection refused"))
    assert not is_passing(psycopg.errors.UndefinedTable("no table"))
