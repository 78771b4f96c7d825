"""One MLflow run as a stage feeds it: metrics in batches, each point once.

A run that is gone on with after its process was killed already has some points; those are not sent
again. Begun, gone on with and ended by `tracking`. Loads nothing of MLflow's when imported.
"""

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Metric

    from mlflow import MlflowClient

FLUSH_S = 5.0
TRAINING = "train/"
"""Prefix of what training reports; `val/` and `test/` are evaluations', alike for captioners."""
Point = tuple[str, int, str]
"""Metric, step, and value: its `repr`, since NaN equals nothing and two phases share steps."""
_MAX_BATCH = 900  # metrics; MLflow takes 1,000


class TrackedRun:
    """One open MLflow run that receives a stage's progress.

    Args:
        client: of its store.
        run_id: of the run.
        known: points it has already.
    """

    def __init__(
        self, client: "MlflowClient", run_id: str, known: Collection[Point] = frozenset()
    ) -> None:
        self.run_id = run_id
        self._client, self._known = client, known
        self._waiting: list[Metric] = []
        self._sent_at = time.monotonic()
        self._steps: dict[str, int] = {}

    def log(self, step: int | None, metrics: Mapping[str, float], **about: str) -> None:
        """Take metrics of one step.

        Args:
            step: None: each metric counts its own calls.
            metrics: by name.
            about: of MLflow's metric: the model and the data set that it is of.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in metrics.items():
            at = self._steps.get(name, -1) + 1 if step is None else step
            self._steps[name] = at
            if (name, at, repr(float(value))) not in self._known:
                self._waiting.append(Metric(name, float(value), now, at, **about))
        if time.monotonic() - self._sent_at > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        for start in range(0, len(self._waiting), _MAX_BATCH):
            self._client.log_batch(self.run_id, self._waiting[start : start + _MAX_BATCH])
        self._waiting = []
        self._sent_at = time.monotonic()


def as_training(metrics: Mapping[str, float]) -> dict[str, float]:
    """What training reports, under the names that runs have it by."""
    return {f"{TRAINING}{name}": value for name, value in metrics.items()}


def points_of(client: "MlflowClient", run_id: str) -> set[Point]:
    """The points that a run has."""
    return {
        (name, metric.step, repr(float(metric.value)))
        for name in client.get_run(run_id).data.metrics
        for metric in client.get_metric_history(run_id, name)
    }
