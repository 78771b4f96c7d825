"""Checkpoints: what is saved comes back, whole or refused by name; a signal ends a run tidily."""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from finecap.lock import InUseError, is_locked, locked
from finecap.log import silent
from finecap.models.folder import ModelFolderError
from finecap.training import checkpoint
from finecap.training.checkpoint import LOCK, Checkpoints, TrainingInterrupted, save_batch
from finecap.training.processes import Processes

SETTINGS = {"lr": 0.1, "steps": 10}


class Counter:
    """A part with tensors, numbers, text and integer keys."""

    def __init__(self, value: int = 0) -> None:
        self.state: dict[Any, Any] = {
            0: {"moment": torch.full((2,), float(value)), "step": value},
            "name": "counter",
            "generator": {"state": 2**100 + value},
            "list": [1, torch.tensor(value)],
        }

    def state_dict(self) -> Mapping[Any, Any]:
        return self.state

    def load_state_dict(self, state_dict: Mapping[Any, Any]) -> None:
        self.state = dict(state_dict)


def saved(folder: Path, value: int = 7, step: int = 3) -> None:
    checkpoints = Checkpoints(folder, SETTINGS, silent)
    with checkpoints.resuming(counter=Counter(value)):
        checkpoints.after_step(step, now=True)


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    saved(tmp_path)
    counter = Counter()
    with Checkpoints(tmp_path, SETTINGS, silent).resuming(counter=counter) as step:
        assert step == 3
    assert counter.state[0]["moment"].tolist() == [7.0, 7.0]
    assert counter.state[0]["step"] == 7
    assert counter.state["generator"]["state"] == 2**100 + 7
    assert counter.state["list"][1].item() == 7


def test_modules_and_optimisers_are_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    checkpoints = Checkpoints(tmp_path, SETTINGS, silent)
    with checkpoints.resuming(model=model):
        checkpoints.after_step(1, now=True)
    with Checkpoints(tmp_path, SETTINGS, silent).resuming(model=other):
        assert torch.equal(model.weight, other.weight)


def test_only_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, step=3)
    saved(tmp_path, step=5)
    assert [f.name for f in tmp_path.iterdir()] == ["step-00000005"]


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(None, SETTINGS, silent)
    with checkpoints.resuming(counter=Counter()) as step:
        checkpoints.after_step(1, now=True)
    assert step == 0
    assert not list(tmp_path.iterdir())


def test_a_save_comes_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS, silent)
    with checkpoints.resuming(counter=Counter()):
        checkpoints.after_step(1)
        assert not list(tmp_path.glob("step-*"))
        monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)
        checkpoints.after_step(2)
    assert [f.name for f in tmp_path.iterdir()] == ["step-00000002"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_ends_the_run(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    checkpoints = Checkpoints(tmp_path, SETTINGS, silent)
    with checkpoints.resuming(counter=Counter()):
        os.kill(os.getpid(), number)
        with pytest.raises(TrainingInterrupted, match=f"{number.name} after step 4; saved in"):
            checkpoints.after_step(4)
    assert (tmp_path / "step-00000004").is_dir()
    assert signal.getsignal(number) is before


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "step-00000009.partial").mkdir()
    with Checkpoints(tmp_path, SETTINGS, silent).resuming(counter=Counter()) as step:
        assert step == 3


def refused(folder: Path, match: str, settings: Mapping[str, Any] = SETTINGS) -> None:
    checkpoints = Checkpoints(folder, settings, silent)
    with pytest.raises(ModelFolderError, match=match), checkpoints.resuming(counter=Counter()):
        pass


def test_truncated_tensors_are_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    tensors = tmp_path / "step-00000003" / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4])
    refused(tmp_path, r"step-00000003/state\.safetensors is truncated or foreign")


def test_a_truncated_state_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    state = tmp_path / "step-00000003" / "state.json"
    state.write_text(state.read_text()[:-10])
    refused(tmp_path, r"step-00000003/state\.json is unreadable")


def test_a_foreign_state_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "step-00000003" / "state.json").write_text(json.dumps({"kind": "other"}))
    refused(tmp_path, r"state\.json is no checkpoint of finecap's; remove it to begin anew")


def test_other_settings_are_refused_by_what_differs(tmp_path: Path) -> None:
    saved(tmp_path)
    refused(tmp_path, r"other settings \(lr was 0\.1, is 0\.2\)", {**SETTINGS, "lr": 0.2})


def test_other_parts_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    checkpoints = Checkpoints(tmp_path, SETTINGS, silent)
    with (
        pytest.raises(ModelFolderError, match="holds counter; this run has other"),
        checkpoints.resuming(other=Counter()),
    ):
        pass


def test_a_second_run_in_the_folder_is_refused_at_once(tmp_path: Path) -> None:
    first, second = (Checkpoints(tmp_path, SETTINGS, silent) for _ in range(2))
    with first.resuming(counter=Counter()):
        refusal = pytest.raises(InUseError, match=f"checkpoints {tmp_path} is in use by process")
        with refusal, second.resuming(counter=Counter()):
            pass
        first.after_step(2, now=True)
    with second.resuming(counter=Counter()) as step:
        assert step == 2
    assert [f.name for f in tmp_path.iterdir()] == ["step-00000002"]


def test_another_process_than_the_first_takes_no_lock(tmp_path: Path) -> None:
    with locked(tmp_path / LOCK, "the first's"):
        checkpoints = Checkpoints(tmp_path, SETTINGS, silent, Processes(rank=1))
        with checkpoints.resuming(counter=Counter()) as step:
            assert step == 0


def test_a_run_that_is_not_resumable_takes_no_lock() -> None:
    with Checkpoints(None, SETTINGS, silent).resuming(counter=Counter()) as step:
        assert step == 0


def test_the_lock_is_held_until_the_run_has_saved_its_last_step(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS, silent)
    with checkpoints.resuming(counter=Counter()):
        checkpoints.after_step(1, now=True)
        assert is_locked(tmp_path / LOCK)
    assert not is_locked(tmp_path / LOCK)


def test_a_kept_batch_can_be_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    @dataclass
    class Batch:
        ids: torch.Tensor
        texts: list[str]

    file = save_batch(tmp_path, Batch(torch.arange(4), ["a cat"]))
    assert json.loads(file.read_text())["map"]["texts"] == ["a cat"]
    assert load_file(tmp_path / "diverged.safetensors")["batch.ids"].tolist() == [0, 1, 2, 3]
