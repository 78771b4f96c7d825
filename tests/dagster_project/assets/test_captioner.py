"""Captioners as assets: what a run registers is its best moment, not its last."""

import os
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.artifacts import ArtifactStore
from dagster_project.assets.captioner import image_features
from dagster_project.champion import CAPTIONER
from dagster_project.checks import reward_ends
from dagster_project.home import Home
from finecap.config import ScstConfig, load_profile
from finecap.log import silent
from finecap.models.export import CAPTIONER as EXPORTED
from finecap.models.folder import WEIGHTS
from finecap.training.scst import train_scst
from tests.dagster_project.training import Training, cause
from tests.finecap.conftest import tiny
from tests.finecap.training.test_scst import val_reward

pytestmark = pytest.mark.slow
__all__ = ["tiny"]

COLLAPSING = ScstConfig(
    # No KL; the learning rate grows by 1e-3 a step, to fifty times what this world bears.
    kl_weight=0.0,
    lr=1.0,
    warmup_steps=1000,
    steps=40,
    val_every=2,
    batch_size=48,
    max_tokens=20,
    weights={"cider": 1.0},
)


def registered(training: Training, folder: Path) -> Path:
    """The captioner that serving would load of the only registered version."""
    (version,) = training.tracker.client.search_model_versions(f"name = '{CAPTIONER}'")
    training.tracker.download(version, folder)
    return folder / EXPORTED


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


def test_a_collapsing_run_registers_its_best_moment_and_shows_its_collapse(
    tiny: SimpleNamespace, home: Home, instance: dg.DagsterInstance, tmp_path: Path
):
    training = Training(home, instance, COLLAPSING)
    training.put(tiny)
    outcome = training.materialize()
    assert outcome.success, cause(outcome)
    model = registered(training, tmp_path / "version")

    client = training.tracker.client
    (run_id,) = training.versions()
    *looks, delivered = client.get_metric_history(run_id, "train/val_reward")
    best = max(looks, key=lambda look: look.value)
    assert 0 < best.step < looks[-1].step == COLLAPSING.steps
    assert looks[-1].value < 0.8 * looks[0].value < looks[0].value < best.value  # it collapsed
    assert reward_ends(training.made.history) == (looks[0].value, looks[-1].value)
    assert delivered.value == best.value
    assert client.get_run(run_id).data.metrics["train/val_step"] == best.step

    # A run that ends at that step takes the same steps up to it.
    shorter, until_best = COLLAPSING.model_copy(update={"steps": best.step}), tiny.new()
    inputs = (tiny.mle, tiny.features, tiny.records, tiny.encoder)
    assert train_scst(*inputs, shorter, until_best, silent)["val_step"] == best.step
    assert weights(model) == weights(until_best) != weights(tiny.mle)
    assert val_reward(tiny, model, COLLAPSING.weights) == pytest.approx(best.value, abs=1e-5)


def test_features_go_on_after_a_failure_and_leave_nothing_unfinished(
    tiny: SimpleNamespace, home: Home, instance: dg.DagsterInstance
):
    training = Training(home, instance, COLLAPSING)
    training.put(tiny)
    asset = image_features(load_profile("smoke"))
    small = {"batch_size": 4, "shard_images": 8}
    dataset = ArtifactStore(home.artifacts).get("dataset", "v1").path
    last = dataset / tiny.records[-1].image
    content, stat = last.read_bytes(), last.stat()
    last.write_bytes(b"?" * len(content))  # a disk that reads badly: its size and time are right
    os.utime(last, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    outcome = training.materialize(asset, **small)
    assert "does not decode" in cause(outcome)
    assert [f.name for f in home.checkpoints.glob("image_features/*/*.npy")]

    last.write_bytes(content)
    os.utime(last, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    outcome = training.materialize(asset, **small)
    assert outcome.success, cause(outcome)
    assert any("going on after 88 of 96 images" in line for line in training.logged(outcome))
    assert not [f for f in home.checkpoints.glob("image_features/*") if f.is_dir()]
    made = next(f for f in (home.artifacts / "image_features").iterdir() if f.name != "v1")
    assert (made / "grid.npy").stat().st_size == (tiny.features / "grid.npy").stat().st_size
    rows = "rows.parquet"
    assert (made / rows).read_bytes() == (tiny.features / rows).read_bytes()
