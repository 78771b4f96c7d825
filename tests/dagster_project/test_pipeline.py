"""The whole graph on `smoke`, for real: once, again, and after a person moved the alias."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.artifacts import ArtifactStore
from dagster_project.champion import CAPTIONER
from dagster_project.home import Home
from dagster_project.jobs import everything, selected
from dagster_project.plan import is_up_to_date
from dagster_project.registry import CHAMPION, Registry
from dagster_project.tracking import Tracker
from finecap.config import OPTIONAL_REWARDS, REWARDS
from tests.dagster_project import offline, whole_run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


class Pipeline(whole_run.Pipeline):
    """One home after its first run, which another process has done without a network."""

    first: Mapping[str, str]
    attempts: Sequence[str]

    @property
    def registry(self) -> Registry:
        return Registry(Tracker(self.home.mlflow, "finecap-smoke", ""))

    def is_up_to_date(self) -> bool:
        return is_up_to_date(self.defs, self.profile, self.home, self.instance)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Pipeline:
    del empty_store  # made first, so that its warnings are not the pipeline's
    home = Home(ROOT, tmp_path_factory.mktemp("smoke home, Füße"))
    module = whole_run.__name__
    alone = offline.command(module, str(home.path))
    command = alone if offline.is_possible() else [sys.executable, "-m", module, str(home.path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    pipeline = Pipeline(home)
    pipeline.first = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("{")))
    pipeline.attempts = offline.attempts(done.stdout) if offline.is_possible() else ()
    return pipeline


@pytest.mark.skipif(not offline.is_possible(), reason="this user may make no network namespace")
def test_a_run_needs_no_network_and_calls_nobody(pipeline: Pipeline):
    """Neither for data and weights, nor to tell anybody that it ran."""
    assert set(pipeline.first.values()) == {"made"}
    assert pipeline.attempts == []


def test_first_run_makes_everything(pipeline: Pipeline):
    assets = [a for a in pipeline.defs.assets if isinstance(a, dg.AssetsDefinition)]
    made = {"/".join(key.path) for asset in selected(assets, everything()) for key in asset.keys}
    assert set(pipeline.first) == made
    assert set(pipeline.first.values()) == {"made"}


def test_leaderboard_has_all_variants_and_both_splits(pipeline: Pipeline):
    content = json.loads((pipeline.home.reports / "leaderboard.json").read_text())
    assert {"mle", *REWARDS} <= set(content["variants"])
    assert content["data_md5"].endswith(".dir")
    assert "cider" in content["variants"]["mle"]


def test_every_model_is_a_registered_version(pipeline: Pipeline):
    client = pipeline.registry.client
    models = {
        m.name: client.search_model_versions(f"name = '{m.name}'")
        for m in client.search_registered_models()
    }
    counts = {name: len(versions) for name, versions in models.items()}
    assert counts == {
        "finecap-clip": 1, "finecap-judge": 1, "finecap-clip-reward": 2, CAPTIONER: 7,
    }  # fmt: skip
    for version in models[CAPTIONER]:
        assert {"parents", "data_md5", "git_commit", "dagster_run_id"} <= {
            *version.tags, *client.get_run(version.run_id).data.tags,
        }  # fmt: skip


def test_registered_captioner_captions_a_path_bytes_and_an_array(pipeline: Pipeline):
    import numpy as np
    from PIL import Image

    import mlflow

    path = next((pipeline.home.path / "data" / "images").iterdir())
    array = np.array(Image.open(path).convert("RGB"))
    with Tracker(pipeline.home.mlflow, "finecap-smoke", "").fluent():
        model = mlflow.pyfunc.load_model(f"models:/{CAPTIONER}@champion")
    (caption,) = model.predict(str(path))
    assert model.predict([path.read_bytes()]) == model.predict(array) == [caption]


def command_line(pipeline: Pipeline, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """What `finecap ... --json` prints on the pipeline's home."""
    command = [sys.executable, "-m", "finecap.cli", *arguments, "--json"]
    environment = {**os.environ, "FINECAP_HOME": str(pipeline.home.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_command_line_searches_the_live_build(pipeline: Pipeline):
    hits = command_line(pipeline, "search", "a boat")["hits"]
    assert {"image", "caption", "score"} <= set(hits[0])


def test_command_line_captions_with_the_live_build(pipeline: Pipeline):
    image = next((pipeline.home.path / "data" / "images").glob("*.png"))
    assert command_line(pipeline, "caption", str(image))["captions"][0]["caption"]


def test_second_run_makes_nothing(pipeline: Pipeline):
    assert pipeline.is_up_to_date()
    assert set(pipeline.run().values()) == {"reused"}


def test_a_model_that_is_not_registered_is_by_the_next_run_without_training(pipeline: Pipeline):
    tracker = pipeline.registry.tracker
    (folder,) = (pipeline.home.artifacts / "base_clip").iterdir()
    made = ArtifactStore(pipeline.home.artifacts).get("base_clip", folder.name)
    (version,) = tracker.client.search_model_versions(f"run_id = '{made.run_id}'")
    tracker.client.delete_model_version(version.name, version.version)
    assert not pipeline.is_up_to_date()
    assert set(pipeline.run().values()) == {"reused"}
    assert tracker.has_version_of(str(made.run_id))
    assert pipeline.is_up_to_date()


def test_optional_variants_are_made_by_hand_and_leave_the_run_up_to_date(pipeline: Pipeline):
    chosen = dg.AssetSelection.assets(*(["evaluation", v] for v in OPTIONAL_REWARDS)).upstream()
    status = pipeline.run(selection=list(chosen.resolve(pipeline.defs.resolve_asset_graph())))
    made = {name for name, how in status.items() if how == "made"}
    assert made == {
        *(f"{stage}/{v}" for stage in ("scst", "evaluation") for v in OPTIONAL_REWARDS),
        "spoilt_negatives",
        "clip_reward/grammar_spoilt",
    }
    assert pipeline.is_up_to_date()


def test_alias_moved_by_hand_is_captioned_and_indexed_by_the_next_run(pipeline: Pipeline):
    before = str(pipeline.registry.alias(CHAMPION).version)
    other = next(str(v) for v in range(1, 8) if str(v) != before)
    pipeline.registry.point(CHAMPION, other)
    assert not pipeline.is_up_to_date()
    status = pipeline.run()
    made = {name for name, how in status.items() if how == "made"}
    assert made == {"champion", "captions", "caption_index"}
    assert str(pipeline.registry.alias(CHAMPION).version) == other


def test_artifact_removed_from_disk_is_made_again(pipeline: Pipeline):
    import shutil

    shutil.rmtree(pipeline.home.artifacts / "scst" / "cider")
    assert not pipeline.is_up_to_date()
    status = pipeline.run()
    assert status["scst/cider"] == "made"
    assert status["base_clip"] == "reused"
    assert len(list(ArtifactStore(pipeline.home.artifacts).root.glob("scst/cider/*"))) == 1
