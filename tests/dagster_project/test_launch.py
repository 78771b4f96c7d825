"""A captioner that two processes of `torchrun` train: interrupted, killed, brought to its end."""

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.assets.captioner import mle_captioner, scst
from dagster_project.champion import CAPTIONER
from dagster_project.home import Home
from dagster_project.resources import DATA_VERSION
from dagster_project.tracking import Tracker
from finecap.config import ScstConfig, load_profile
from tests.finecap.conftest import tiny

pytestmark = pytest.mark.slow
__all__ = ["tiny"]

SCST = ScstConfig(
    processes=2, steps=60, val_every=3, batch_size=16, samples_per_image=3, max_tokens=20
)


class Training:
    """One asset, materialized again and again until it is whole."""

    def __init__(self, home: Home, resources: dict[str, object], instance: dg.DagsterInstance):
        profile = load_profile("smoke").model_copy(update={"scst": {"clip_s": SCST}})
        self.home, self.resources, self.instance = home, resources, instance
        self.asset = scst(profile, "clip_s")

    def put(self, name: str, source: Path, **inputs: str) -> None:
        """An upstream asset, as if made and materialized."""
        store = ArtifactStore(self.home.artifacts)
        with store.writing(name, "v1") as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
            if name == "validated_dataset":
                (folder / "captions.jsonl").rename(folder / "records.jsonl")
            store.publish(folder, Artifact(name, folder, "v1", data_md5="0.dir", inputs=inputs))
        tags = {DATA_VERSION: "v1"}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(name, tags=tags))

    def materialize(
        self, asset: dg.AssetsDefinition | None = None, **settings: int
    ) -> dg.ExecuteInProcessResult:
        """The asset, or another, with settings other than the profile's."""
        asset = asset or self.asset
        keys = asset.keys_by_input_name.values()
        given = [dg.AssetSpec(key).with_io_manager_key("artifacts") for key in keys]
        config = {"ops": {asset.node_def.name: {"config": settings}}}
        return dg.materialize(
            [*given, asset],
            run_config=config,
            resources=self.resources,
            instance=self.instance,
            raise_on_error=False,
        )

    @property
    def kept(self) -> Path:
        """Checkpoints and logs of the version that is not whole yet."""
        (folder,) = (self.home.checkpoints / "scst" / "clip_s").iterdir()
        return folder

    def said(self, rank: int) -> str:
        """What a process of the last launch has said."""
        return next(self.kept.glob(f"logs/*/attempt_0/{rank}/stderr.log")).read_text()

    def pid(self, rank: int) -> int:
        found = re.search(rf"process {rank} of 2, pid (\d+)", self.said(rank))
        assert found is not None
        return int(found[1])

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

    def versions(self) -> int:
        """Of the registered model."""
        tracker = Tracker(self.home.mlflow, "finecap-test", "")
        return len(tracker.client.search_model_versions(f"name = '{CAPTIONER}'"))


@pytest.fixture
def training(
    tiny: SimpleNamespace,
    home: Home,
    resources: dict[str, object],
    instance: dg.DagsterInstance,
) -> Training:
    training = Training(home, resources, instance)
    training.put("dataset", tiny.folder)
    training.put("validated_dataset", tiny.folder)
    training.put("base_clip", tiny.encoder)
    training.put("image_features", tiny.features, base_clip="v1")
    training.put("mle_captioner", tiny.mle)
    return training


def cause(outcome: dg.ExecuteInProcessResult) -> str:
    (failure,) = [e for e in outcome.all_events if e.event_type_value == "STEP_FAILURE"]
    failed = failure.step_failure_data
    return str(failed.user_failure_data.description if failed.user_failure_data else failed.error)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_process_is_the_assets_own(training: Training):
    short = {"width": 16, "decoder_layers": 1, "epochs": 1}
    mle = training.materialize(mle_captioner(load_profile("smoke")), **short)
    whole = training.materialize(processes=1, steps=2)
    for outcome, first in ((mle, "step 3 of 3"), (whole, "step 0 val")):
        assert outcome.success
        assert any(line.startswith(first) for line in training.logged(outcome))
        assert not any("[pipes]" in line for line in training.logged(outcome))


def test_an_interrupted_and_then_killed_training_is_gone_on_from_and_registered_once(
    training: Training,
):
    """In one test, since each launch costs two imports of torch."""
    training.when_past(0, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupted = training.materialize()
    assert "DagsterExecutionInterruptedError" in cause(interrupted)
    assert is_gone(training.pid(0))
    assert is_gone(training.pid(1))
    stopped = training.step()
    assert f"TrainingInterrupted: SIGTERM after step {stopped}; saved" in training.said(0)

    training.when_past(stopped, lambda: os.kill(training.pid(1), signal.SIGKILL))
    killed = training.materialize()
    assert not killed.success
    last_line = training.said(1).splitlines()[-1]
    first, *others = cause(killed).splitlines()
    assert first == "scst/clip_s: process 1 was ended by SIGKILL; it said last:"
    assert last_line in others
    assert training.versions() == 0

    step = training.step()
    whole = training.materialize()
    assert f"going on from step {step}" in training.logged(whole)
    assert step > stopped
    (made,) = whole.asset_materializations_for_node("scst__clip_s")
    assert made.metadata["status"].value == "made"
    assert not list((training.home.checkpoints / "scst" / "clip_s").iterdir())
    (artifact,) = (training.home.artifacts / "scst" / "clip_s").iterdir()
    history = ArtifactStore(training.home.artifacts).get("scst/clip_s", artifact.name).history
    assert [row["step"] for row in history if "val_reward" in row][-1] == SCST.steps

    training.materialize()
    assert training.versions() == 1
