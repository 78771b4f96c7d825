"""`python -m tests.dagster_project.small_job HOME`: two steps by the executor of all jobs."""

import json
import os
import sys
import tempfile
from pathlib import Path

import dagster as dg

from dagster_project.executor import tracked_executor
from dagster_project.home import Home
from dagster_project.stages import Stages
from tests.dagster_project.conftest import ROOT

HOME = "FINECAP_TEST_HOME"


def small_job() -> dg.JobDefinition:
    """The job, as every step's process builds it again."""
    home = Home(ROOT, Path(os.environ[HOME]))
    stages = Stages(profile="test", root=str(home.root), path=str(home.path))

    def track(context: dg.AssetExecutionContext, name: str) -> None:
        with stages.tracker(context).child(name, {}, {}):
            pass

    @dg.asset
    def first(context: dg.AssetExecutionContext) -> None:
        track(context, "first")

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext) -> None:
        track(context, "second")

    executor, assets = tracked_executor(home, "test"), [first, second]
    defs = dg.Definitions(assets, jobs=[dg.define_asset_job("small")], executor=executor)
    return defs.resolve_job_def("small")


def main(home: str) -> None:
    """Execute the job, and say which run it was and when it started."""
    os.environ[HOME] = home
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        job = dg.reconstructable(small_job)
        with dg.execute_job(job, instance, raise_on_error=True) as outcome:
            record = instance.get_run_record_by_id(outcome.run_id)
            started = record.start_time if record else None
            sys.stdout.write(json.dumps({"run_id": outcome.run_id, "started": started}) + "\n")


if __name__ == "__main__":
    from tests.dagster_project import small_job as module  # reconstructable needs its real name

    module.main(*sys.argv[1:])
