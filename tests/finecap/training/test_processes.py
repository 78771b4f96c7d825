"""Two processes of `torchrun` train what one trains, end together, and go on together."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from finecap.lock import locked
from finecap.training.checkpoint import LOCK
from finecap.training.processes import ALONE, joined
from tests.finecap.training.launched import Run, inputs_of, launch, play

SCST = {
    "steps": 8,
    "val_every": 4,
    "batch_size": 15,
    "lr": 2e-3,
    "warmup_steps": 2,
    "max_tokens": 20,
    "samples_per_image": 4,
    "weights": {"clip_s": 1.0, "cider": 0.5},
}
KILLED, RESUMED = "leave_one_out-killed", "leave_one_out-resumed"


class World:
    """The runs, by name, and what becomes of them."""

    def __init__(self, tiny: SimpleNamespace, out: Path) -> None:
        small = {"batch_size": 47, "epochs": 2}  # 48 images: each epoch ends in a batch of one
        mle = tiny.mle_config.model_dump() | small
        alike = mle | {"dropout": 0.0}
        kept, ended, apart = (str(out / name) for name in ("kept", "ended", "apart-{rank}"))
        self.out, self.inputs = out, inputs_of(tiny)
        self.straight = [
            self.run("greedy", SCST | {"baseline": "greedy", "kl_weight": 0.05}),
            self.run("leave_one_out", SCST),
            self.run("mle", alike),
            self.run("dropout", mle),
            self.run("dropout-ended", mle, ended, signal=(1, 3, signal.SIGTERM)),
            self.run("dropout-resumed", mle, ended),
            self.run("apart-ended", mle, apart, signal=(0, 1, signal.SIGTERM)),
            self.run("apart", mle, apart),
            self.run("in-use", mle, str(out / "in-use-by-another")),
            Run("average", "average", {}, self.inputs, str(out)),
        ]
        self.killed = self.run(KILLED, SCST, kept, signal=(1, 6, signal.SIGKILL))
        self.resumed = self.run(RESUMED, SCST, kept)
        self.by_name = {run.name: run for run in [*self.straight, self.killed, self.resumed]}

    def run(
        self,
        name: str,
        config: Mapping[str, object],
        checkpoints: str | None = None,
        signal: tuple[int, int, int] | None = None,
    ) -> Run:
        stage = "scst" if "steps" in config else "mle"
        return Run(name, stage, dict(config), self.inputs, str(self.out), checkpoints, signal)

    def alone(self, name: str) -> tuple[dict, Path]:
        """What one process reports of the run, and the folder of its model."""
        folder = self.out / "alone"
        folder.mkdir(exist_ok=True)
        run = replace(self.by_name[name], out=str(folder))
        return play(run, ALONE), run.model


def flat(model: Path) -> torch.Tensor:
    """All weights of a model's folder as one vector."""
    weights = load_file(model / "model.safetensors")
    return torch.cat([weights[name].flatten().float() for name in sorted(weights)])


@pytest.fixture(scope="module")
def world(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tiny, tmp_path_factory.mktemp("processes"))
    with locked(world.out / "in-use-by-another" / LOCK, "the other's"):
        launched = launch(world.straight)
    assert launched.returncode == 0, launched.stderr
    return world


def test_alone_nothing_is_shared() -> None:
    with joined() as processes:
        assert processes == ALONE
        assert processes.map(lambda part: [2 * i for i in part], range(3)) == [0, 2, 4]
        assert processes.add({"loss": 1.0}) == {"loss": 1.0}
        assert processes.highest(3) == 3
        alone = torch.ones(2)
        processes.average([alone])
        assert alone.tolist() == [1.0, 1.0]


@pytest.mark.slow
def test_an_average_is_that_of_all_processes(world: World) -> None:
    for rank in (0, 1):
        found = world.by_name["average"].report(rank)["metrics"]
        assert found == {"pair": [0.5, 3.0], "one": 5.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["greedy", "leave_one_out", "mle"])
def test_two_processes_take_the_steps_of_one(world: World, name: str) -> None:
    """But for the order of additions. The epoch of `mle` ends in a batch that cannot be shared."""
    expected, folder = world.alone(name)
    found = world.by_name[name].report()
    assert len(found["steps"]) == len(expected["steps"]) >= 4
    for step, straight in zip(found["steps"], expected["steps"], strict=True):
        assert step == pytest.approx(straight, rel=1e-4, abs=1e-6)
    assert found["metrics"] == pytest.approx(expected["metrics"], rel=1e-4, abs=1e-6)
    weights, own = flat(folder), flat(world.by_name[name].model)
    # Not each by itself: where a gradient is nought but rounding, Adam makes steps of it.
    assert (own - weights).norm() < 1e-3 * weights.norm()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["greedy", "leave_one_out", "mle", "dropout"])
def test_all_processes_report_the_same(world: World, name: str) -> None:
    first, second = (world.by_name[name].report(rank) for rank in (0, 1))
    assert first["steps"] == second["steps"]
    assert first["metrics"] == second["metrics"]


@pytest.mark.slow
def test_a_signal_to_one_ends_all_after_the_same_step_and_all_go_on_as_if_straight(
    world: World, weights_of: Callable[[Path], bytes]
) -> None:
    """Dropout included, although a checkpoint holds the first process's random state alone."""
    ended = [world.by_name["dropout-ended"].report(rank)["ended"] for rank in (0, 1)]
    assert ended[0] == ended[1] == f"SIGTERM after step 3; saved in {world.out / 'ended'}"
    resumed = world.by_name["dropout-resumed"]
    assert [resumed.report(rank)["lines"][0] for rank in (0, 1)] == ["going on from step 3"] * 2
    assert weights_of(resumed.model) == weights_of(world.by_name["dropout"].model)


@pytest.mark.slow
def test_a_killed_process_fails_the_launch_and_the_next_goes_on(
    world: World, weights_of: Callable[[Path], bytes]
) -> None:
    killed = launch([world.killed])
    assert killed.returncode != 0
    assert "Signal 9 (SIGKILL)" in killed.stderr
    assert not (world.killed.model / "model.safetensors").exists()
    resumed = launch([world.resumed])
    assert resumed.returncode == 0, resumed.stderr
    report = world.resumed.report()
    assert report["lines"][0] == "going on from step 4"
    straight = world.by_name["leave_one_out"]
    assert report["metrics"] == straight.report()["metrics"]
    assert weights_of(world.resumed.model) == weights_of(straight.model)


@pytest.mark.slow
def test_processes_that_find_other_checkpoints_are_refused(world: World) -> None:
    """As on machines that do not share the folder."""
    ended = [world.by_name["apart"].report(rank)["ended"] for rank in (0, 1)]
    assert ended[0].startswith(f"checkpoints {world.out / 'apart-0'}: the processes found steps")
    assert all("found steps [1, 0], expected the same one" in how for how in ended)


@pytest.mark.slow
def test_a_folder_in_use_is_refused_by_all_processes_alike(world: World) -> None:
    ended = [world.by_name["in-use"].report(rank)["ended"] for rank in (0, 1)]
    folder = world.out / "in-use-by-another"
    assert ended[0] == ended[1]
    assert ended[0].startswith(f"checkpoints {folder} is in use by process {os.getpid()} on ")
