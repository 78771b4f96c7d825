"""An asset on the tiny world, materialized by a process that dies at a given point.

`python -m tests.dagster_project.crash HOME ASSET POINT`: what it is made of must lie in the home.
The process kills itself as `kill -9` does, so that it dies there and nowhere else.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.assets.captioner import image_features, mle_captioner, scst
from dagster_project.assets.negatives import TABLE
from dagster_project.assets.reward_model import base_clip, clip_reward
from dagster_project.home import Home
from dagster_project.resources import DATA_VERSION
from dagster_project.tracking import Tracker
from finecap.config import GrammarNegativesConfig, ScstConfig, load_profile
from finecap.models.clip import ClipEncoder
from finecap.training import checkpoint
from finecap.training.checkpoint import Checkpoints
from mlflow import MlflowClient
from tests.dagster_project.conftest import ROOT
from tests.dagster_project.training import Training

PROFILE = load_profile("smoke")
ASSETS: dict[str, Callable[[], dg.AssetsDefinition]] = {
    "base_clip": lambda: base_clip(PROFILE),
    "clip_reward/grammar": lambda: clip_reward(PROFILE, "grammar"),
    "image_features": lambda: image_features(PROFILE),
    "mle_captioner": lambda: mle_captioner(PROFILE),
    "scst/clip_s": lambda: scst(PROFILE, "clip_s"),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "base_clip": {
        "embed_dim": 16, "image_size": 32, "image_width": 8, "text_width": 32, "text_layers": 1,
        "text_heads": 2, "word_epochs": 1, "word_batch_size": 32, "epochs": 2, "batch_size": 16,
    },
    "clip_reward/grammar": {"grammar_steps": 3, "steps": 3, "batch_size": 16},
    "image_features": {"batch_size": 16},
    "mle_captioner": {
        "width": 32, "heads": 2, "decoder_layers": 1, "epochs": 2, "batch_size": 16,
    },
    "scst/clip_s": {"steps": 6, "val_every": 2, "batch_size": 16, "samples_per_image": 3},
}  # fmt: skip
SAVED = 2
"""The last step, or part, of which anything is left."""
POINTS: dict[str, list[tuple[type, str, int]]] = {
    "training": [(Checkpoints, "after_step", SAVED + 1), (ClipEncoder, "image_forward", SAVED + 1)],
    "publishing": [(ArtifactStore, "publish", 1)],
    "registering": [(Tracker, "register", 1)],
    "between files and version": [(MlflowClient, "create_model_version", 1)],
    "registered": [(Tracker, "describe", 2)],
}
"""Where it dies: on entering a method for that time."""


class Doomed(Training):
    """One of the assets, and all that any of them is made of."""

    def __init__(self, home: Home, instance: dg.DagsterInstance, name: str) -> None:
        super().__init__(home, instance, ScstConfig())
        self.name, self.asset = name, ASSETS[name]()

    def put(self, tiny: SimpleNamespace) -> None:
        """What they are made of."""
        from finecap.negatives.grammar import build_table

        store = ArtifactStore(self.home.artifacts)
        with store.writing("grammar_negatives", "v1") as folder:
            build_table(tiny.records, GrammarNegativesConfig()).to_parquet(folder / TABLE)
            store.publish(folder, Artifact("grammar_negatives", folder, "v1", data_md5="0.dir"))
        super().put(tiny)
        shutil.rmtree(self.home.artifacts / self.name, ignore_errors=True)  # what it is to make

    def report_inputs(self) -> None:
        super().report_inputs()
        event = dg.AssetMaterialization("grammar_negatives", tags={DATA_VERSION: "v1"})
        self.instance.report_runless_asset_event(event)

    def run(self) -> dg.ExecuteInProcessResult:
        return self.materialize(**SETTINGS[self.name])


def die_at(point: str) -> None:
    """Let this process die there."""
    for owner, method, time in POINTS[point]:
        calls, original = count(1), getattr(owner, method)

        def dying(*a: Any, _calls=calls, _original=original, _time=time, **k: Any) -> Any:
            if next(_calls) == _time:
                os.kill(os.getpid(), signal.SIGKILL)
            return _original(*a, **k)

        pytest.MonkeyPatch().setattr(owner, method, dying)


def main(home: str, asset: str, point: str) -> None:
    """Materialize the asset until death."""
    checkpoint.EVERY_S = 0.0
    die_at(point)
    with dg.DagsterInstance.ephemeral() as instance:
        doomed = Doomed(Home(ROOT, Path(home)), instance, asset)
        doomed.report_inputs()
        doomed.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
