"""MLflow: one parent per pipeline run, metrics in batches, models as files and code."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dagster_project.dataset_input import DataSet
from dagster_project.home import Home
from dagster_project.served import EXPORT, Model, model_of
from dagster_project.tracking import INTERRUPTED, Tracker, logged_model

WRAPPER = """
import mlflow
from pathlib import Path

class Echo(mlflow.pyfunc.PythonModel):
    _skip_type_hint_validation = True

    def load_context(self, context):
        self.text = (Path(context.artifacts["model"]) / "text").read_text()

    def predict(self, context, model_input, params=None):
        return [self.text] * len(model_input)

mlflow.models.set_model(Echo())
"""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / EXPORT
    folder.mkdir()
    (folder / "text").write_text("a red boat")
    return folder


@pytest.fixture
def echo(tmp_path: Path) -> Model:
    code = tmp_path / "echo.py"
    code.write_text(WRAPPER)
    return Model(
        "finecap-captioner", "clip_s", code, model_of("x", "x", "captioner", tmp_path).signature
    )


def test_children_share_the_pipelines_parent(tracker: Tracker, home: Home):
    with tracker.child("base_clip", {"lr": 0.1}, {}) as first:
        pass
    other = Tracker(home.mlflow, "finecap-test", "run-1")  # as another step's process has it
    with other.child("mle_captioner", {}, {}) as second:
        pass
    parents = {
        tracker.client.get_run(r.run_id).data.tags["mlflow.parentRunId"] for r in (first, second)
    }
    assert len(parents) == 1
    assert tracker.client.get_run(parents.pop()).data.tags["dagster_run_id"] == "run-1"


def test_parallel_stages_make_one_store_one_experiment_one_parent(home: Home):
    def stage(number: int) -> str:
        mine = Tracker(home.mlflow, "finecap-test", "run-1")
        with mine.child(f"stage {number}", {}, {}) as run:
            run.log(0, {"loss": 1.0})
        return mine.client.get_run(run.run_id).data.tags["mlflow.parentRunId"]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(stage, range(4)))) == 1


def test_failed_stage_is_marked_and_keeps_its_metrics(tracker: Tracker):
    seen: list[str] = []

    def diverge() -> None:
        with tracker.child("x", {}, {}) as run:
            seen.append(run.run_id)
            run.log(0, {"loss": 1.0})
            raise ValueError("NaN")

    with pytest.raises(ValueError, match="NaN"):
        diverge()
    found = tracker.client.get_run(seen[0])
    assert (found.info.status, found.data.metrics) == ("FAILED", {"loss": 1.0})


def broken_off(tracker: Tracker, error: BaseException, **metrics: float) -> str:
    """A run whose stage ended so, with metrics of step 0."""

    def train() -> None:
        with tracker.child("x", {"lr": 0.1}, {"data_version": "v1"}) as run:
            seen.append(run.run_id)
            run.log(0, metrics)
            raise error

    seen: list[str] = []
    with pytest.raises(type(error)):
        train()
    return seen[0]


def test_a_run_that_was_broken_off_goes_on_below_the_new_pipeline_run(tracker: Tracker, home: Home):
    run_id = broken_off(tracker, KeyboardInterrupt(), loss=1.0)
    parent = tracker.client.get_run(run_id).data.tags["mlflow.parentRunId"]
    second = Tracker(home.mlflow, "finecap-test", "run-2")
    tracker.client.update_run(run_id, name="a person's name for it")
    again = broken_off(second, RuntimeError(), loss=1.0)  # another stage's; it is left alone
    third = Tracker(home.mlflow, "finecap-test", "run-3")
    with third.child("x", {"lr": 0.1}, {"data_version": "v1"}, run_id) as run:
        assert tracker.client.get_run(run_id).info.status == "RUNNING"
        run.log(1, {"loss": 0.5})
    found = tracker.client.get_run(run_id)
    assert (run.run_id, found.info.status) == (run_id, "FINISHED")
    tags = found.data.tags
    pipeline = tracker.client.get_run(tags["mlflow.parentRunId"]).data.tags
    assert pipeline["dagster_run_id"] == tags["dagster_run_id"] == "run-3"
    assert tags["mlflow.parentRunId"] != parent
    assert tags[INTERRUPTED] == "run-1"
    assert found.info.run_name == "a person's name for it"
    history = tracker.client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 0.5)]
    assert tracker.client.get_run(again).info.status == "FAILED"


def test_all_pipeline_runs_it_was_broken_off_in_are_named(tracker: Tracker, home: Home):
    run_id = broken_off(tracker, RuntimeError())
    for name in ("run-2", "run-2", "run-3"):  # Dagster tries again within one run, too
        with Tracker(home.mlflow, "finecap-test", name).child("x", {}, {}, run_id):
            pass
        tracker.client.update_run(run_id, status="RUNNING")  # as a kill leaves it
    with Tracker(home.mlflow, "finecap-test", "run-4").child("x", {}, {}, run_id):
        pass
    assert tracker.client.get_run(run_id).data.tags[INTERRUPTED] == "run-1 run-2 run-3"


@pytest.mark.parametrize("fate", ["finished", "deleted", "unknown"])
def test_a_run_that_cannot_be_gone_on_with_is_left_and_a_new_one_begun(tracker: Tracker, fate: str):
    if fate == "finished":
        with tracker.child("x", {}, {}) as run:
            before = run.run_id
    else:
        before = broken_off(tracker, RuntimeError()) if fate == "deleted" else "0" * 32
    if fate == "deleted":
        tracker.client.delete_run(before)
    assert tracker.status(before) == ("FINISHED" if fate == "finished" else None)
    with tracker.child("x", {}, {}, before) as run:
        pass
    assert run.run_id != before
    tags = tracker.client.get_run(run.run_id).data.tags
    assert INTERRUPTED not in tags


def test_settings_are_flat_parameters(tracker: Tracker):
    with tracker.child("x", {"lr": 0.1, "data": {"drawn": True}, "text": "alt_text"}, {}) as run:
        pass
    params = tracker.client.get_run(run.run_id).data.params
    assert params == {"lr": "0.1", "data.drawn": "true", "text": "alt_text"}


DATA = DataSet("scenes", "0" * 32 + ".dir", Path("/data"), {"train": 7, "val": 2, "test": 3})


def data_of(tracker: Tracker, run_id: str) -> dict[str, str]:
    """Context by data set of a run."""
    found = tracker.client.get_run(run_id).inputs.dataset_inputs
    assert {each.dataset.digest for each in found} == {DATA.md5}
    return {each.dataset.name: each.tags[0].value for each in found}


def test_a_run_and_its_pipeline_run_say_what_data_they_are_of(tracker: Tracker):
    for name in ("mle", "clip_s"):
        with tracker.child(name, {}, {}, data=DATA) as run:
            pass
        assert data_of(tracker, run.run_id) == {"scenes": "training"}
    assert data_of(tracker, tracker.pipeline.run_id) == {"scenes": "training"}


def test_stages_that_start_at_once_enter_a_new_data_set_once(home: Home):
    def stage(number: int) -> str:
        mine = Tracker(home.mlflow, "finecap-test", "run-1")
        with mine.child(f"stage {number}", {}, {}, data=DATA) as run:
            pass
        return mine.client.get_run(run.run_id).inputs.dataset_inputs[0].dataset.digest

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(stage, range(4))) == {DATA.md5}


def test_an_awaited_metric_is_the_first_of_its_run_and_no_search_finds_it_before_it_comes(
    tracker: Tracker, exported: Path, echo: Model
):
    name, *_ = scores = {"val/judge_t2i_r1": 0.5, "val/cider": 1.0, "test/cider": 2.0}
    with tracker.child("x", {}, {}, awaited=[name]) as run:
        run.log(0, {"train/loss": 1.0})
    found = tracker.client.get_run(run.run_id).data.metrics
    assert list(found) == [name, "train/loss"]
    assert math.isnan(found[name])
    for condition in (f"metrics.`{name}` < 1", f"metrics.`{name}` >= 0"):
        assert not tracker.client.search_runs([tracker.experiment_id], condition)
    tracker.add_scores(tracker.register(echo, run.run_id, exported, {}), scores, None)
    found = tracker.client.get_run(run.run_id).data.metrics
    assert found == {"train/loss": 1.0, **scores}
    assert next(iter(found)) == name


def test_scores_are_on_the_run_and_on_the_model_each_of_its_split(
    tracker: Tracker, exported: Path, echo: Model
):
    with tracker.child("x", {}, {}, data=DATA) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {})
    tracker.add_scores(version, {"val/cider": 1.0, "test/cider": 2.0}, DATA)
    contexts = {"scenes": "training", "scenes-val": "evaluation", "scenes-test": "evaluation"}
    assert data_of(tracker, run.run_id) == data_of(tracker, tracker.pipeline.run_id) == contexts
    model = tracker.client.get_logged_model(logged_model(version))
    assert {(m.key, m.value, m.dataset_name) for m in model.metrics} == {
        ("val/cider", 1.0, "scenes-val"),
        ("test/cider", 2.0, "scenes-test"),
    }
    assert tracker.client.get_run(run.run_id).info.status == "FINISHED"


def test_a_description_is_written_again_when_facts_change_and_never_over_a_persons(
    tracker: Tracker, exported: Path, echo: Model
):
    with tracker.child("x", {}, {}) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {})

    def described(text: str) -> list[str]:
        for number in (None, version.version):
            tracker.describe(version.name, text, number)
        model = tracker.client.get_registered_model(version.name)
        again = tracker.client.get_model_version(version.name, version.version)
        return [model.description, again.description]

    assert described("one") == ["one", "one"]
    assert described("two") == ["two", "two"]
    tracker.client.update_model_version(version.name, version.version, "a person's")
    assert described("three") == ["three", "a person's"]


def test_registered_model_loads_and_holds_no_pickle(tracker: Tracker, exported: Path, echo: Model):
    import mlflow

    with tracker.child("x", {}, {}) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {"data_version": "v1"})
    (stored,) = (tracker.folder / "artifacts").glob("models/*/artifacts")
    assert not [f for f in stored.rglob("*") if f.suffix in {".pkl", ".pickle", ".pt"}]
    with tracker.fluent():
        model = mlflow.pyfunc.load_model(f"models:/finecap-captioner/{version.version}")
    assert model.predict(["a.png"]) == ["a red boat"]


def test_version_is_found_by_its_data_version_and_its_run(
    tracker: Tracker, exported: Path, echo: Model
):
    """Of the same settings and data trained twice, each training has its own."""
    made: dict[str, str] = {}
    for _ in range(2):
        with tracker.child("x", {}, {}) as run:
            pass
        version = tracker.register(echo, run.run_id, exported, {"data_version": "v1"})
        made[run.run_id] = version.version
        assert tracker.client.get_run(run.run_id).info.status == "FINISHED"
    name = "finecap-captioner"
    assert {r: tracker.version(name, "v1", r).version for r in made} == made
    assert [tracker.version(name, "v1", r) for r in (None, "another")] == [None, None]
    assert tracker.version(name, "v2", run.run_id) is None


def test_download_gives_back_what_was_registered(
    tracker: Tracker, exported: Path, echo: Model, tmp_path: Path
):
    with tracker.child("x", {}, {}) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {})
    tracker.download(version, tmp_path / "back")
    assert (tmp_path / "back" / "text").read_text() == "a red boat"


def test_mlflow_folder_does_not_shadow_the_package():
    import mlflow

    root = Path(__file__).resolve().parents[2]
    assert not (root / "mlflow" / "__init__.py").exists()
    assert "site-packages" in str(mlflow.__file__)
    assert sys.modules["mlflow"].__file__ == mlflow.__file__


def test_a_runs_page_opens_among_training_runs(home: Home):
    tracker = Tracker(home.mlflow, "finecap-test", "run")
    address = tracker.page("abc")
    assert address.startswith("http://localhost:5000/#/experiments/")
    assert address.endswith("/runs/abc?workflowType=machine_learning")
