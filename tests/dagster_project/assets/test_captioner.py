"""Captioners as assets: what a run registers is its best moment, not its last."""

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.champion import CAPTIONER
from dagster_project.checks import reward_ends
from dagster_project.home import Home
from finecap.config import ScstConfig
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
