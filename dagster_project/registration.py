"""How a stage's artifact enters the model registry, and where it says the model comes from.

What serving loads is exported with it; which version serves is `promotion`'s.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.artifacts import MARKER, Artifact, ArtifactStore
from dagster_project.compared import primary
from dagster_project.home import Home
from dagster_project.model_card import model_description, version_card
from dagster_project.reporting import log_row
from dagster_project.tracked_run import as_training

if TYPE_CHECKING:
    from dagster_project.dataset_input import DataSet
    from dagster_project.tracking import ModelVersion, Tracker


@dataclass(frozen=True)
class Registered:
    """How a stage's artifact enters the model registry."""

    name: str
    variant: str
    encoder: Artifact | None = (
        None  # of a captioner: exported with it, so that it can caption alone
    )

    @property
    def awaited(self) -> list[str]:
        """What an evaluation will add to its run: captioners alone are evaluated."""
        return [] if self.encoder is None else [primary()]

    def run_name(self, asset: str) -> str:
        """Name of its MLflow run: people compare captioners by variant."""
        return asset if self.encoder is None else self.variant


@dataclass(frozen=True)
class Plan:
    """What a stage is about to make."""

    asset: str
    version: str
    data_md5: str
    inputs: Mapping[str, str]  # version by asset, and by `package NAME` of plug-ins
    config: Mapping[str, Any]


def register(
    tracker: "Tracker",
    store: ArtifactStore,
    artifact: Artifact,
    registered: Registered,
    profile: str,
    home: Home,
    data: "DataSet | None",
) -> "ModelVersion":
    """Register an artifact of the profile; where need be, its record rebuilds its run, or ends it.

    A run is missing where the store has lost it, and open where the process was killed as it ended.
    """
    from dagster_project.tracking import EXPORT, FINISHED, model_of

    plan = Plan(
        artifact.asset,
        artifact.data_version,
        artifact.data_md5,
        artifact.inputs,
        artifact.config,
    )
    tags = tags_of(plan, registered)
    run_id = artifact.run_id
    if run_id is None or tracker.status(run_id) != FINISHED:
        name, awaited = registered.run_name(artifact.asset), registered.awaited
        opened = tracker.child(name, artifact.config, tags, run_id, data=data, awaited=awaited)
        with opened as run:
            for row in artifact.history:
                log_row(run, row)
            run.log(None, as_training(artifact.metrics))
        run_id = run.run_id
        artifact = store.record(replace(artifact, run_id=run_id))
    kind = "encoder" if registered.encoder is None else "captioner"
    model = model_of(registered.name, registered.variant, kind, home.root)
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".export-") as scratch:
        folder = Path(scratch) / EXPORT
        export(artifact, registered.encoder, folder)
        config = json.dumps(artifact.config, sort_keys=True)
        about = {**tags, "profile": profile, "config": config}
        version = tracker.register(model, run_id, folder, about)
    tracker.describe(model.name, model_description(model.name))
    tracker.describe(model.name, version_card(model.name, about, data), str(version.version))
    return version


def export(artifact: Artifact, encoder: Artifact | None, destination: Path) -> None:
    """Copy what serving loads into `destination`: an encoder alone, or a captioner with its own."""
    if encoder is None:
        unserved = shutil.ignore_patterns(MARKER, "checkpoint*", "*.npy")
        shutil.copytree(artifact.path, destination, ignore=unserved, dirs_exist_ok=True)
    else:
        from finecap.models.export import export_pair

        export_pair(artifact.path, encoder.path, destination)


def tags_of(plan: Plan, registered: Registered) -> dict[str, str]:
    """Where a model comes from."""
    return {
        "asset": plan.asset,
        "variant": registered.variant,
        "model": registered.name,
        "data_version": plan.version,
        "data_md5": plan.data_md5,
        "parents": ", ".join(f"{name}@{version}" for name, version in plan.inputs.items()),
    }
