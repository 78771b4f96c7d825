"""`python -m tests.dagster_project.whole_run HOME`: the whole graph on `smoke`, in one process."""

import json
import sys
from pathlib import Path

import dagster as dg

from dagster_project.definitions import build_defs
from dagster_project.home import Home
from finecap.config import Profile, load_profile
from tests.dagster_project.conftest import ROOT


class Pipeline:
    """One home, its instance, and runs of the whole graph in this process."""

    def __init__(self, home: Home) -> None:
        data = {"folder": str(home.path / "data"), "pointer": str(home.path / "data.dvc")}
        smoke = load_profile("smoke")
        self.profile = Profile.model_validate(
            {**smoke.model_dump(), "data": {**smoke.data.model_dump(), **data}}
        )
        self.home, self.defs = home, build_defs(self.profile, home)
        home.dagster.mkdir(parents=True, exist_ok=True)
        self.instance = dg.DagsterInstance.local_temp(str(home.dagster))

    def run(self, selection: list[dg.AssetKey] | None = None) -> dict[str, str]:
        """Status by asset, made or reused, of the retrain job or of a selection by hand."""
        job = self.defs.resolve_job_def("retrain")
        if selection is not None:
            job = self.defs.resolve_implicit_global_asset_job_def()
        outcome = job.execute_in_process(instance=self.instance, asset_selection=selection)
        events = [e for e in outcome.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
        return {
            "/".join(e.asset_key.path): str(e.materialization.metadata["status"].value)
            for e in events
        }


def main(home: str) -> None:
    """Run it, and print what was made."""
    made = Pipeline(Home(ROOT, Path(home))).run()
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
