"""What is handed to people: scores and cards once per evaluation, the board, the decision."""

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pandas as pd
import pytest
from PIL import Image

from dagster_project.artifacts import Artifact
from dagster_project.champion import captioner_asset
from dagster_project.compared import CAPTIONER, compare_page
from dagster_project.home import Home
from dagster_project.published import log_decision, log_scores, publish_leaderboard
from dagster_project.served import Model, model_of
from dagster_project.stages import Stages
from dagster_project.tracking import ModelVersion, Tracker
from finecap.data.records import Record, write_records
from finecap.evaluation.report import write_leaderboard
from finecap.evaluation.results import Evaluation, Metric, not_computed, write_evaluation

MD5 = "4a269f219293e0ec46f2c76c93597a6d.dir"
IMAGE = "images/1.png"
CODE = """
import mlflow.pyfunc
import mlflow

class Nothing(mlflow.pyfunc.PythonModel):
    _skip_type_hint_validation = True

    def predict(self, context, model_input, params=None):
        return []

mlflow.models.set_model(Nothing())
"""


class World:
    """A home with a data set and captioners that were registered and scored."""

    def __init__(self, home: Home, instance: dg.DagsterInstance, folder: Path) -> None:
        self.stages = Stages(profile="test", root=str(home.root), path=str(home.path))
        self.folder, self.home, self.instance = folder, home, instance
        (folder / "data" / "images").mkdir(parents=True)
        Image.new("RGB", (32, 32), "red").save(folder / "data" / IMAGE)
        write_records(folder / "data" / "captions.jsonl", [Record(IMAGE, "test", ("a boat",))])
        data = Artifact("dataset", folder / "data", MD5, data_md5=MD5)
        self.stages.store.record(data)
        # Loaded only when a version is, which no test here does.
        (folder / "code.py").write_text(CODE)

    def context(self, asset: str, run_id: str = "run-1") -> dg.AssetExecutionContext:
        run = SimpleNamespace(run_id=run_id, job_name="retrain")
        key = dg.AssetKey(asset.split("/"))
        return SimpleNamespace(  # type: ignore[return-value]
            run=run, instance=self.instance, asset_key=key, log=dg.get_dagster_logger()
        )

    @property
    def tracker(self) -> Tracker:
        return self.stages.tracker(self.context("any"))

    def captioner(self, variant: str) -> None:
        """Register a captioner."""
        tags = {
            "variant": variant, "asset": f"scst/{variant}", "profile": "test", "parents": "",
            "data_version": f"of-{variant}", "config": '{"weights": {"clip_s": 1.0}}',
        }  # fmt: skip
        with self.tracker.child(variant, {}, {"model": CAPTIONER, "variant": variant}) as run:
            pass
        exported = self.folder / "exported"
        exported.mkdir(exist_ok=True)
        signature = model_of(CAPTIONER, variant, "captioner", self.folder).signature
        model = Model(CAPTIONER, variant, self.folder / "code.py", signature)
        self.tracker.register(model, run.run_id, exported, tags)
        name, store = captioner_asset(variant), self.stages.store
        with store.writing(name, f"of-{variant}") as folder:
            store.publish(folder, Artifact(name, folder, f"of-{variant}", run_id=run.run_id))

    def made(self, variant: str) -> Artifact:
        """That captioner's artifact."""
        return self.stages.store.get(captioner_asset(variant), f"of-{variant}")

    def version(self, variant: str) -> ModelVersion:
        """That captioner's version."""
        made = self.made(variant)
        version = self.tracker.version(CAPTIONER, made.data_version, made.run_id)
        assert version is not None
        return version

    def evaluation(self, variant: str, value: float, version: str = "e1") -> Artifact:
        """A finished evaluation of that captioner."""
        metric: Metric = {"value": value, "ci_low": value, "ci_high": value, "n": 1}
        scores = {"judge_t2i_r1": metric, "spice": not_computed("needs Java")}
        rows = {"image": [IMAGE], "split": ["test"]}
        captions = pd.DataFrame({**rows, "caption": [f"a {variant}"]})
        per_image = pd.DataFrame({**rows, "judge_t2i_r1": [value]})
        splits = {"val": dict(scores), "test": dict(scores)}
        yardstick = {"val": "y", "test": "y"}
        with self.stages.store.writing(f"evaluation/{variant}", version) as folder:
            write_evaluation(Evaluation(splits, captions, per_image, yardstick, False), folder)
            numbers = {"val/judge_t2i_r1": value, "test/judge_t2i_r1": value}
            about = Artifact(
                f"evaluation/{variant}", folder, version, data_md5=MD5, metrics=numbers
            )
            return self.stages.store.publish(folder, about)

    def log_scores(self, variant: str, scores: Artifact) -> None:
        log_scores(self.stages, self.context(scores.asset), scores, self.made(variant))

    def board(self, **evaluations: Artifact) -> dg.MaterializeResult:
        """A leaderboard, made now."""
        folders = {variant: artifact.path for variant, artifact in evaluations.items()}
        with self.stages.store.writing("leaderboard", "b1") as folder:
            write_leaderboard(folders, self.folder / "data", folder, profile="test", data_md5=MD5)
            self.stages.store.publish(folder, Artifact("leaderboard", folder, "b1"))
        return dg.MaterializeResult(data_version=dg.DataVersion("b1"), metadata={"status": "made"})


@pytest.fixture
def world(home: Home, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    return World(home, instance, tmp_path)


def test_an_evaluation_is_on_its_captioners_run_and_card_with_pictures_to_compare(world: World):
    world.captioner("clip_s")
    world.log_scores("clip_s", world.evaluation("clip_s", 0.25))
    client, version = world.tracker.client, world.version("clip_s")
    run = client.get_run(version.run_id)
    assert run.data.metrics == {"val/judge_t2i_r1": 0.25, "test/judge_t2i_r1": 0.25}
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {"test-val", "test-test"}
    files = {file.path for file in client.list_artifacts(version.run_id)}
    assert files == {"captions.png", "evaluation.json"}
    assert version.description.count("0.250 [0.250, 0.250]") == 2


def test_it_is_entered_once_and_a_new_evaluation_replaces_it(world: World):
    world.captioner("clip_s")
    for value, version in ((0.25, "e1"), (0.5, "e1"), (0.75, "e2")):
        world.log_scores("clip_s", world.evaluation("clip_s", value, version))
    found = world.version("clip_s")
    history = world.tracker.client.get_metric_history(found.run_id, "val/judge_t2i_r1")
    assert sorted(metric.value for metric in history) == [0.25, 0.75]
    assert world.tracker.client.get_run(found.run_id).data.metrics["val/judge_t2i_r1"] == 0.75
    assert "0.750 [0.750" in found.description


def test_a_version_whose_run_a_person_deleted_still_gets_its_card(world: World):
    world.captioner("clip_s")
    world.tracker.client.delete_run(world.version("clip_s").run_id)
    world.log_scores("clip_s", world.evaluation("clip_s", 0.25))
    assert "| judge R@1 |" in world.version("clip_s").description


def test_the_board_links_to_the_comparison_of_its_captioners(world: World):
    for variant in ("mle", "clip_s"):
        world.captioner(variant)
    board = world.board(mle=world.evaluation("mle", 0.1), clip_s=world.evaluation("clip_s", 0.2))
    context = world.context("leaderboard")
    rewarded = {"mle": "of-mle", "clip_s": "of-clip_s", "cider": "never registered"}
    made = publish_leaderboard(world.stages, context, board, rewarded)
    tracker = world.tracker
    runs = [world.version(variant).run_id for variant in ("mle", "clip_s")]
    address = compare_page(tracker.experiment_id, runs)
    assert made.metadata["rewards_compared_in_mlflow"].value == address
    assert (world.home.reports / "leaderboard.html").is_file()
    files = {f.path for f in tracker.client.list_artifacts(tracker.pipeline.run_id, "leaderboard")}
    assert {"leaderboard/leaderboard.html", "leaderboard/contact_sheet.png"} <= files
    about = tracker.client.get_run(tracker.pipeline.run_id).data.tags["mlflow.note.content"]
    assert address in about
    assert "| `clip_s` | **0.200**" in about


def test_a_board_of_before_begins_no_pipeline_run(world: World):
    world.captioner("mle")
    old = world.board(mle=world.evaluation("mle", 0.1))._replace(metadata={"status": "reused"})
    context = world.context("leaderboard", "run-2")
    publish_leaderboard(world.stages, context, old, {"mle": "of-mle"})
    assert world.stages.tracker(context).pipeline.found() is None
    assert (world.home.reports / "leaderboard.md").is_file()


def test_the_decision_and_the_champions_scores_are_on_the_pipelines_run(world: World):
    world.captioner("clip_s")
    world.log_scores("clip_s", world.evaluation("clip_s", 0.25))
    tracker = world.tracker
    run_id = world.version("clip_s").run_id
    with world.stages.store.writing("champion", "c1") as folder:
        config = {"run_id": run_id}
        world.stages.store.publish(folder, Artifact("champion", folder, "c1", config=config))
    shown = {"decision": "promoted v1", "champion": "finecap-captioner v1 (clip_s)"}
    made = dg.MaterializeResult(data_version=dg.DataVersion("c1"), metadata=shown)
    for run in ("run-1", "run-2"):  # the second has tracked nothing
        log_decision(world.stages, world.context("champion", run), made)
    found = tracker.client.get_run(tracker.pipeline.run_id).data
    assert {k: found.tags[k] for k in shown} == shown
    assert found.metrics["champion/val/judge_t2i_r1"] == 0.25
    assert world.stages.tracker(world.context("x", "run-2")).pipeline.found() is None
