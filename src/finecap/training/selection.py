"""Which moment of a run is handed over: the best by a value on val, not the last.

The best model so far lies on disk under the step it is of, so that a run that goes on from a
checkpoint finds the one its checkpoint speaks of. What the value is, and which moments may not be
chosen at all, is the stage's.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finecap.models.captioner import Captioner

_BEST = "best-"


class Best:
    """The best model so far.

    Args:
        model: offered again and again as it learns.
        folder: where the best is kept until the end.
        writes: whether this process is the one that writes.
    """

    def __init__(self, model: Captioner, folder: Path, *, writes: bool = True) -> None:
        self.model, self.folder, self.writes = model, folder, writes
        self.value, self.step, self.looks_since = float("-inf"), -1, 0

    def offer(self, value: float, step: int, *, is_allowed: bool = True) -> None:
        """Keep the model as it is now if it is allowed and better than all before."""
        self.looks_since += 1
        if not is_allowed or value <= self.value:
            return
        self.value, self.step, self.looks_since = value, step, 0
        if self.writes:
            self.model.save(self._at(step))

    def deliver(self, destination: Path) -> None:
        """Put the best model into `destination`; what was kept of others goes."""
        if not self.writes:
            return
        shutil.copytree(self._at(self.step), destination, dirs_exist_ok=True)
        for kept in self.folder.glob(f"{_BEST}*"):
            if kept != self._at(self.step) or self.folder == destination:
                shutil.rmtree(kept)

    def state_dict(self) -> Mapping[str, Any]:
        """Value and step of the best; looks at val since."""
        return {"value": self.value, "step": self.step, "looks_since": self.looks_since}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there; models of steps that come again are dropped."""
        self.value, self.step = state_dict["value"], state_dict["step"]
        self.looks_since = state_dict["looks_since"]

    def _at(self, step: int) -> Path:
        """The folder of the model of that step."""
        return self.folder / f"{_BEST}{step:08d}"
