"""MLflow: one parent per pipeline run, metrics in batches, models as files and code."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dagster_project import tracking
from dagster_project.home import Home
from dagster_project.tracking import EXPORT, Model, Tracker, model_of, requirements

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
def tracker(home: Home) -> Tracker:
    return Tracker(home.mlflow, "finecap-test", "run-1")


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


def test_metrics_wait_for_the_batch_and_all_arrive(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
):
    sent: list[int] = []
    log_batch = tracker.client.log_batch
    monkeypatch.setattr(
        tracker.client,
        "log_batch",
        lambda run, metrics=(), **k: (sent.append(len(metrics)), log_batch(run, metrics, **k)),
    )
    with tracker.child("scst/clip_s", {}, {}) as run:
        for step in range(1000):
            run.log(step, {"reward": float(step), "loss": 0.0})
    assert [n for n in sent if n] == [900, 900, 200]
    assert len(tracker.client.get_metric_history(run.run_id, "reward")) == 1000


def test_metrics_are_sent_while_training_lasts(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracking, "FLUSH_S", 0.0)
    with tracker.child("x", {}, {}) as run:
        run.log(0, {"loss": 1.0})
        assert tracker.client.get_run(run.run_id).data.metrics == {"loss": 1.0}


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


def test_settings_are_flat_parameters(tracker: Tracker):
    with tracker.child("x", {"lr": 0.1, "weights": {"clip_s": 1.0}, "text": "alt_text"}, {}) as run:
        pass
    params = tracker.client.get_run(run.run_id).data.params
    assert params == {"lr": "0.1", "weights": '{"clip_s": 1.0}', "text": "alt_text"}


def test_registered_model_loads_and_holds_no_pickle(tracker: Tracker, exported: Path, echo: Model):
    import mlflow

    with tracker.child("x", {}, {}) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {"data_version": "v1"})
    (stored,) = (tracker.folder / "artifacts").glob("models/*/artifacts")
    assert not [f for f in stored.rglob("*") if f.suffix in {".pkl", ".pickle", ".pt"}]
    with tracker._fluent():
        model = mlflow.pyfunc.load_model(f"models:/finecap-captioner/{version.version}")
    assert model.predict(["a.png"]) == ["a red boat"]


def test_version_is_found_by_its_data_version(tracker: Tracker, exported: Path, echo: Model):
    with tracker.child("x", {}, {}) as run:
        pass
    made = tracker.register(echo, run.run_id, exported, {"data_version": "v1"})
    assert tracker.version("finecap-captioner", "v1").version == made.version
    assert tracker.version("finecap-captioner", "v2") is None
    assert tracker.client.get_run(run.run_id).info.status == "FINISHED"


def test_download_gives_back_what_was_registered(
    tracker: Tracker, exported: Path, echo: Model, tmp_path: Path
):
    with tracker.child("x", {}, {}) as run:
        pass
    version = tracker.register(echo, run.run_id, exported, {})
    tracker.download(version, tmp_path / "back")
    assert (tmp_path / "back" / "text").read_text() == "a red boat"


def test_requirements_pin_what_is_installed_without_build_tags():
    pins = requirements()
    assert pins[0].startswith("finecap==")
    assert not [pin for pin in pins if "+" in pin]


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
