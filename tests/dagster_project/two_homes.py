"""`python -m tests.dagster_project.two_homes MLFLOW HOME RATE ...`: a home on a shared MLflow.

It registers a version per rate, the first two by training, and promotes each as the pipeline does,
by a policy that asks for the higher rate. It says that it is ready, waits for a line, and says
which it has made champion.
"""

import os
import sys
from pathlib import Path

import dagster as dg

from dagster_project.history import Actor
from dagster_project.home import TRACKING_URI, Home
from dagster_project.promotion import Candidate, promote
from dagster_project.registry import Registry
from dagster_project.run_config import MleRun
from dagster_project.stages import Registered, Stages, stage
from dagster_project.tracking import ModelVersion, Tracker, logged_model
from finecap.config import MleConfig
from finecap.evaluation.policy import Policy
from finecap.evaluation.promotion import Scores
from tests.dagster_project.conftest import ROOT, resources_of
from tests.dagster_project.test_promotion import scores

MODEL, RATE, TRAINED = "finecap-clip", "rate", 2
POLICY = Policy(min_n=1, significance=0.5)
"""So that each higher rate is better, and the highest champion at last."""
LR = (0.25, 0.5)
"""Settings of what is trained: the same in both homes, and so the same data versions."""


def model(home: Path) -> dg.AssetsDefinition:
    """Weights that say where they were trained."""

    @stage(MleRun, MleConfig(), group="test", modules=(), name="model")
    def model(
        context: dg.AssetExecutionContext, config: MleRun, stages: Stages
    ) -> dg.MaterializeResult:
        def work(folder, log):
            log("training", 1, loss=config.lr)
            (folder / "weights").write_text(f"{home.name} {config.lr}")
            return {}

        return stages.run(context, config, [], work, registered=Registered(MODEL, "base_clip"))

    return model


def registered(home: Home, instance: dg.DagsterInstance, tracker: Tracker, number: int) -> str:
    """A new version, of a training or of the files of one before."""
    if number >= TRAINED:
        (before, *_) = tracker.client.search_model_versions(f"name = '{MODEL}'", max_results=1)
        source, run_id, model_id = before.source, before.run_id, logged_model(before)
        made = tracker.client.create_model_version(MODEL, source, run_id, model_id=model_id)
        return str(made.version)
    config = {"ops": {"model": {"config": {"lr": LR[number]}}}}
    outcome = dg.materialize(
        [model(home.path)], resources=resources_of(home), instance=instance, run_config=config
    )
    (made,) = outcome.asset_materializations_for_node("model")
    return str(made.metadata["registered_model"].value).removeprefix(f"{MODEL} v")


def of(version: ModelVersion) -> Scores:
    return scores(f"v{version.version}", float(version.tags[RATE]))


def main(address: str, folder: str, *rates: str) -> None:
    """Register and promote, one after the other."""
    os.environ[TRACKING_URI] = address
    home = Home(ROOT, Path(folder))
    tracker = Tracker(home.mlflow, "finecap-test", "")
    actor = Actor(home.path.name, "pipeline run", is_person=False)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with dg.DagsterInstance.ephemeral() as instance:
        for number, rate in enumerate(rates):
            version = registered(home, instance, tracker, number)
            tracker.client.set_model_version_tag(MODEL, version, RATE, rate)
            candidate = Candidate(version, scores(f"v{version}", float(rate)))
            registry = Registry(tracker, MODEL)
            outcome = promote(registry, {"clip_s": candidate}, POLICY, of, of, actor)
            if outcome.decision.promote:
                sys.stdout.write(f"{version}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
