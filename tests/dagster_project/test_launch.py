"""A captioner that two processes of `torchrun` train: interrupted, killed, brought to its end."""

import os
import re
import signal
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_project.assets.captioner import mle_captioner
from dagster_project.home import Home
from dagster_project.launch import Inbox
from finecap.config import ScstConfig, load_profile
from tests.dagster_project.training import Training, cause
from tests.finecap.conftest import tiny

pytestmark = pytest.mark.slow
__all__ = ["tiny"]

SCST = ScstConfig(
    processes=2, steps=60, val_every=3, batch_size=16, samples_per_image=3, max_tokens=20
)

LOOKS = list(range(0, SCST.steps + 1, SCST.val_every))


class Launched(Training):
    """A training by processes whose logs lie beside its checkpoints."""

    def said(self, rank: int) -> str:
        """What a process of the last launch has said."""
        return next(self.kept.glob(f"logs/*/attempt_0/{rank}/stderr.log")).read_text()

    def pid(self, rank: int) -> int:
        found = re.search(rf"process {rank} of 2, pid (\d+)", self.said(rank))
        assert found is not None
        return int(found[1])


@pytest.fixture
def training(tiny: SimpleNamespace, home: Home, instance: dg.DagsterInstance) -> Launched:
    training = Launched(home, instance, SCST)
    training.put(tiny)
    return training


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_no_message_is_lost_when_an_interrupt_breaks_off_their_taking():
    messages = [{"message": "", "step": step, "metrics": {}} for step in range(3)]
    session = SimpleNamespace(get_custom_messages=lambda: messages)
    taken: list[int | None] = []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        assert not message
        assert not metrics
        if not taken:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        taken.append(step)

    inbox = Inbox(log)
    with pytest.raises(KeyboardInterrupt):
        inbox.take(session)
    inbox.take(session)
    inbox.close()
    assert taken == [0, 1, 2]


def test_one_process_is_the_assets_own(training: Launched):
    short = {"width": 16, "decoder_layers": 1, "epochs": 1}
    mle = training.materialize(mle_captioner(load_profile("smoke")), **short)
    whole = training.materialize(processes=1, steps=2)
    for outcome, first in ((mle, "step 3 of 3"), (whole, "step 0 val")):
        assert outcome.success
        assert any(line.startswith(first) for line in training.logged(outcome))
        assert not any("[pipes]" in line for line in training.logged(outcome))


def test_an_interrupted_and_then_killed_training_is_gone_on_from_and_registered_once(
    training: Launched,
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
    assert training.versions() == []

    step = training.step()
    whole = training.materialize()
    assert f"going on from step {step}" in training.logged(whole)
    assert step > stopped
    (made,) = whole.asset_materializations_for_node("scst__clip_s")
    assert made.metadata["status"].value == "made"
    assert not list((training.home.checkpoints / "scst" / "clip_s").iterdir())
    assert [row["step"] for row in training.made.history if "val_reward" in row] == LOOKS
    assert training.runs() == {training.made.run_id: "FINISHED"}
    last = SCST.steps + 1  # of the metrics that the stage returns
    assert training.steps_of("train/val_reward") == [*LOOKS, last]
    assert training.steps_of("train/reward") == [*range(5, SCST.steps + 1, 5), last]

    training.materialize()
    assert training.versions() == [training.made.run_id]
