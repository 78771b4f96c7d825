"""The asset `scst/clip_s` on the tiny world, materialized again and again until it is whole.

`python -m tests.dagster_project.training HOME SETTINGS [MLFLOW]` materializes it in a process of
its own, which a test may kill; what it is made of must have been put into the home. To an MLflow
that is named it sends each metric at once.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dagster as dg

from dagster_project import tracked_run
from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.assets.captioner import scst
from dagster_project.champion import CAPTIONER
from dagster_project.home import TRACKING_URI, Home
from dagster_project.resources import DATA_VERSION
from dagster_project.tracking import Tracker
from finecap.config import ScstConfig, load_profile
from tests.dagster_project.conftest import ROOT, resources_of

INPUTS = ("dataset", "validated_dataset", "base_clip", "image_features", "mle_captioner")


class Training:
    """The asset, what it is made of, and what it has left so far."""

    def __init__(self, home: Home, instance: dg.DagsterInstance, config: ScstConfig) -> None:
        profile = load_profile("smoke").model_copy(update={"scst": {"clip_s": config}})
        self.home, self.instance = home, instance
        self.asset = scst(profile, "clip_s")

    def put(self, tiny: SimpleNamespace) -> None:
        """Its inputs, as if made and materialized."""
        sources = (tiny.folder, tiny.folder, tiny.encoder, tiny.features, tiny.mle)
        store = ArtifactStore(self.home.artifacts)
        for name, source in zip(INPUTS, sources, strict=True):
            inputs = {"base_clip": "v1"} if name == "image_features" else {}
            with store.writing(name, "v1") as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
                if name == "validated_dataset":
                    (folder / "captions.jsonl").rename(folder / "records.jsonl")
                store.publish(folder, Artifact(name, folder, "v1", data_md5="0.dir", inputs=inputs))
        self.report_inputs()

    def report_inputs(self) -> None:
        """Say that the inputs which lie in the home were materialized."""
        for name in INPUTS:
            event = dg.AssetMaterialization(name, tags={DATA_VERSION: "v1"})
            self.instance.report_runless_asset_event(event)

    def materialize(
        self, asset: dg.AssetsDefinition | None = None, **settings: object
    ) -> dg.ExecuteInProcessResult:
        """The asset, or another, with settings other than the profile's."""
        asset = asset or self.asset
        keys = asset.keys_by_input_name.values()
        given = [dg.AssetSpec(key).with_io_manager_key("artifacts") for key in keys]
        config = {"ops": {asset.node_def.name: {"config": settings}}}
        return dg.materialize(
            [*given, asset],
            run_config=config,
            resources=resources_of(self.home),
            instance=self.instance,
            raise_on_error=False,
        )

    @property
    def kept(self) -> Path:
        """Checkpoints and logs of the version that is not whole yet."""
        (folder,) = (f for f in self.home.checkpoints.glob("scst/clip_s/*") if f.is_dir())
        return folder

    @property
    def made(self) -> Artifact:
        """The finished artifact."""
        (folder,) = (self.home.artifacts / "scst" / "clip_s").iterdir()
        return ArtifactStore(self.home.artifacts).get("scst/clip_s", folder.name)

    def step(self) -> int:
        """Of the last checkpoint; 0 without any."""
        found = self.home.checkpoints.glob("scst/clip_s/*/step-" + "[0-9]" * 8)
        return max((int(f.name.removeprefix("step-")) for f in found), default=0)

    def when_past(self, step: int, do: Callable[[], None]) -> None:
        """Do something once there is a checkpoint past that step."""

        def wait() -> None:
            while self.step() <= step:
                time.sleep(0.01)
            do()

        threading.Thread(target=wait, daemon=True).start()

    def logged(self, outcome: dg.ExecuteInProcessResult) -> list[str]:
        return [entry.user_message for entry in self.instance.all_logs(outcome.run_id)]

    @property
    def tracker(self) -> Tracker:
        return Tracker(self.home.mlflow, "finecap-test", "")

    def versions(self) -> list[str]:
        """MLflow runs of the registered model's versions."""
        found = self.tracker.client.search_model_versions(f"name = '{CAPTIONER}'")
        return [str(version.run_id) for version in found]

    def runs(self) -> dict[str, str]:
        """Status by MLflow run of the asset."""
        client = self.tracker.client
        experiment = client.get_experiment_by_name("finecap-test")
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], "tags.asset = 'scst/clip_s'")
        return {run.info.run_id: run.info.status for run in found}

    def steps_of(self, metric: str) -> list[int]:
        """The steps that the asset's only MLflow run has of a metric, as they came."""
        (run_id,) = self.runs()
        return [m.step for m in self.tracker.client.get_metric_history(run_id, metric)]


def cause(outcome: dg.ExecuteInProcessResult) -> str:
    """Why the asset failed."""
    (failure,) = [e for e in outcome.all_events if e.event_type_value == "STEP_FAILURE"]
    failed = failure.step_failure_data
    return str(failed.user_failure_data.description if failed.user_failure_data else failed.error)


def main(home: str, settings: str, mlflow: str = "") -> None:
    """Materialize the asset."""
    if mlflow:
        os.environ[TRACKING_URI] = mlflow
        tracked_run.FLUSH_S = 0.0
    with dg.DagsterInstance.ephemeral() as instance:
        training = Training(Home(ROOT, Path(home)), instance, ScstConfig(**json.loads(settings)))
        training.report_inputs()
        training.materialize()


if __name__ == "__main__":
    main(*sys.argv[1:])
