"""Resumable state of a training run: everything that decides its next step, on disk.

A checkpoint is a folder `step-00000120` of `state.safetensors` and `state.json`, written beside its
final name and renamed, so that it is whole or not there. Nothing in it is code: no pickle is read.
A run that goes on from step n takes the very steps a straight run takes, bit for bit on a CPU.

What is saved is what the stage names as `parts`: modules, the loop (optimiser, step, torch's random
state), the batches' position, the best model so far. Which model is handed over is `selection`'s.
Of several processes the first saves, all load, and a signal to one ends all after the same step.
While a run goes on, its first process holds the folder's lock: a second run is refused at once.
"""

import json
import shutil
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from finecap.lock import InUseError, locked
from finecap.log import Log
from finecap.models.folder import ModelFolderError
from finecap.training.processes import ALONE, Processes

EVERY_S = 60.0
_STEP, _TENSORS, _STATE = "step-", "state.safetensors", "state.json"
_KIND = "finecap checkpoint 1"
LOCK = "lock"
"""File of a checkpoint folder that its run holds."""


class Stateful(Protocol):
    """A part of a run whose state can be saved: tensors and JSON values by name, nested or not."""

    def state_dict(self) -> Mapping[str, Any]:
        """What there is to save."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Go on from what `state_dict` gave."""


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended the run; its last step is saved."""


class Checkpoints:
    """Saves and resumes one run.

    Args:
        folder: where its checkpoints lie; None: the run is not resumable.
        settings: of the run, JSON values; a checkpoint of other settings is refused.
        log: progress.
        processes: those that run it.
    """

    def __init__(
        self,
        folder: Path | None,
        settings: Mapping[str, Any],
        log: Log,
        processes: Processes = ALONE,
    ) -> None:
        self.folder, self.settings, self._log = folder, dict(settings), log
        self.processes = processes
        self._parts: dict[str, Stateful] = {}
        self._saved_at = time.monotonic()
        self._signal = 0  # its number

    @contextmanager
    def resuming(self, **parts: Stateful) -> Generator[int]:
        """Load the last checkpoint into `parts`, if there is one, and save them from now on.

        Inside, SIGINT and SIGTERM let the step end, save it, and raise `TrainingInterrupted`.

        Yields:
            The step that the run goes on from, 0 where it begins.

        Raises:
            InUseError: another run holds the folder; for all processes alike.
            ModelFolderError: a checkpoint that is truncated, foreign, or of other settings, or not
                the same one for all processes.
        """
        self._parts = parts
        with self._alone_in_the_folder():
            step = self._load()
            found = self.processes.gather(step)
            if len(set(found)) > 1:
                raise ModelFolderError(
                    f"checkpoints {self.folder}: the processes found steps {found}, expected the "
                    "same one; put the folder where all of them see it"
                )
            before = self._catch_signals() if self.folder is not None else {}
            self._saved_at = time.monotonic()
            try:
                yield step
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def after_step(self, step: int, *, now: bool = False) -> None:
        """Save when a minute has passed, when asked to, or when a signal ends the run.

        Raises:
            TrainingInterrupted: after a signal to any process; the step is saved.
        """
        if self.folder is None:
            return
        ended_by = self.processes.highest(self._signal)
        is_time = now or ended_by or time.monotonic() - self._saved_at > EVERY_S
        if is_time and self.processes.is_first:
            self._save(self.folder, step)
        if ended_by:
            self.processes.wait()  # whoever is gone earlier makes torchrun end the one that saves
            name = signal.Signals(ended_by).name
            raise TrainingInterrupted(f"{name} after step {step}; saved in {self.folder}")

    @contextmanager
    def _alone_in_the_folder(self) -> Generator[None]:
        """The first process holds the folder's lock; that it cannot is told to all."""
        with ExitStack() as held:
            refused = ""
            if self.folder is not None and self.processes.is_first:
                try:
                    held.enter_context(locked(self.folder / LOCK, f"checkpoints {self.folder}"))
                except InUseError as error:
                    refused = str(error)
            refused = self.processes.gather(refused)[0]
            if refused:
                raise InUseError(refused)
            yield

    def _save(self, folder: Path, step: int) -> None:
        """Write a checkpoint; older ones go when it is in place."""
        tensors: dict[str, Tensor] = {}
        values = {name: _taken_apart(part.state_dict(), name, tensors)
                  for name, part in self._parts.items()}  # fmt: skip
        final = folder / f"{_STEP}{step:08d}"
        partial = folder / f"{final.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(tensors, partial / _TENSORS)
        content = {"kind": _KIND, "step": step, "settings": self.settings, "parts": values}
        (partial / _STATE).write_text(json.dumps(content))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in folder.glob(f"{_STEP}*"):
            if old != final:
                shutil.rmtree(old)
        self._saved_at = time.monotonic()

    def _load(self) -> int:
        """Load the last checkpoint; its step, or 0."""
        found = [] if self.folder is None else sorted(self.folder.glob(f"{_STEP}{'[0-9]' * 8}"))
        if not found:
            return 0
        step, values, tensors = read_checkpoint(found[-1], self.settings)
        if set(values) != set(self._parts):
            raise ModelFolderError(
                f"checkpoint {found[-1]} holds {', '.join(sorted(values))}; this run has "
                f"{', '.join(sorted(self._parts))}: remove it to begin anew"
            )
        for name, part in self._parts.items():
            part.load_state_dict(_put_together(values[name], tensors))
        self._log(f"going on from step {step}")
        return step

    def _catch_signals(self) -> dict[int, Any]:
        """Let SIGINT and SIGTERM ask for an end; the handlers that were there before."""
        if threading.current_thread() is not threading.main_thread():
            return {}  # only the main thread may; an orchestrator's thread has its own way

        def ask(number: int, frame: FrameType | None) -> None:
            del frame
            self._signal = number

        return {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}


def read_checkpoint(
    folder: Path, settings: Mapping[str, Any]
) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """Step, values by part, and tensors of a checkpoint.

    Raises:
        ModelFolderError: it is truncated, foreign, or of other settings; names the file.
    """
    remedy = "remove it to begin anew"
    try:
        content = json.loads((folder / _STATE).read_text())
    except (OSError, ValueError) as error:
        raise ModelFolderError(
            f"checkpoint {folder / _STATE} is unreadable ({error}); {remedy}"
        ) from error
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise ModelFolderError(f"{folder / _STATE} is no checkpoint of finecap's; {remedy}")
    other = {k for k in {*settings, *content["settings"]}
             if settings.get(k) != content["settings"].get(k)}  # fmt: skip
    if other:
        changes = ", ".join(
            f"{k} was {content['settings'].get(k)!r}, is {settings.get(k)!r}" for k in sorted(other)
        )
        raise ModelFolderError(f"checkpoint {folder} is of other settings ({changes}); {remedy}")
    try:
        tensors = load_file(folder / _TENSORS)
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(
            f"checkpoint {folder / _TENSORS} is truncated or foreign ({error}); {remedy}"
        ) from error
    return int(content["step"]), content["parts"], tensors


def _taken_apart(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, its tensors put into `tensors` under names that the JSON refers to."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = {str(k): _taken_apart(v, f"{name}.{k}", tensors) for k, v in value.items()}
        return {"map": items}
    if isinstance(value, list | tuple):
        return [_taken_apart(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
    return value


def _put_together(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `_taken_apart` took apart; keys that were numbers are numbers again."""
    if isinstance(value, list):
        return [_put_together(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    return {
        (int(k) if k.isdecimal() else k): _put_together(v, tensors) for k, v in value["map"].items()
    }


def save_batch(folder: Path, batch: Any) -> Path:
    """Write the batch that a run stopped at, for a person to look at; its file.

    Tensors and arrays go into `diverged.safetensors`, what else it holds into `diverged.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    fields = vars(batch) if is_dataclass(batch) else {"batch": batch}
    as_tensors = {k: torch.as_tensor(v) if hasattr(v, "dtype") else v for k, v in fields.items()}
    values = _taken_apart(as_tensors, "batch", tensors)
    save_file(tensors, folder / "diverged.safetensors")
    path = folder / "diverged.json"
    path.write_text(json.dumps(values, indent=1, default=str))
    return path
