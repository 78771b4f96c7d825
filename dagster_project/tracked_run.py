"""One MLflow run as a stage feeds it: metrics in batches, each point once.

A run that is gone on with after its process was killed already has some points; those are not sent
again. What cannot be sent waits, as `outage` says. Begun, gone on with and ended by `tracking`.
Loads nothing of MLflow's when imported.
"""

import os
import signal
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from dagster_project.outage import Patience, Rule, is_outage
from dagster_project.tracking_store import MlflowUnreachableError

if TYPE_CHECKING:
    from mlflow.entities import Metric

    from mlflow import MlflowClient

FLUSH_S = 5.0
TRAINING = "train/"
"""Prefix of what training reports; `val/` and `test/` are evaluations', alike for captioners."""
SYSTEM = "system/"
"""Prefix of what `system_metrics` samples."""
Point = tuple[str, int, str]
"""Metric, step, and value: its `repr`, since NaN equals nothing and two phases share steps."""
_MAX_BATCH = 900  # metrics; MLflow takes 1,000


class TrackedRun:
    """One open MLflow run that receives a stage's progress.

    Args:
        client: of its store.
        run_id: of the run.
        known: points it has already.
        patience: with an MLflow that does not answer; None: that is an error at once.
    """

    def __init__(
        self,
        client: "MlflowClient",
        run_id: str,
        known: Collection[Point] = frozenset(),
        patience: Patience | None = None,
    ) -> None:
        self.run_id, self.is_stopped = run_id, False
        self._patience = patience
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
            self._send()

    def flush(self) -> None:
        """Send what waits, in order; what was sent stays sent when the rest cannot be."""
        while self._waiting:
            self._client.log_batch(self.run_id, self._waiting[:_MAX_BATCH])
            self._waiting = self._waiting[_MAX_BATCH:]
        self._sent_at = time.monotonic()

    def _send(self) -> None:
        """Send what waits if somebody answers; else it waits on, or the training is ended.

        As by a signal, upon which a training ends its step and saves it.
        """
        from mlflow import MlflowException

        patience, count = self._patience, len(self._waiting)
        if patience is None:
            self.flush()
            return
        if patience.is_waiting or self.is_stopped:
            return
        try:
            patience.check()
            self.flush()
        except (MlflowException, MlflowUnreachableError) as error:
            if not is_outage(error):
                raise
            patience.bear(error)
            if patience.asked is Rule.STOP:
                self.is_stopped = True
                os.kill(os.getpid(), signal.SIGINT)
            return
        patience.relieve(count)


def as_training(metrics: Mapping[str, float]) -> dict[str, float]:
    """What training reports, under the names that runs have it by."""
    return {f"{TRAINING}{name}": value for name, value in metrics.items()}


def points_of(client: "MlflowClient", run_id: str) -> set[Point]:
    """The points that a run has, of its machine's left out."""
    return {
        (name, metric.step, repr(float(metric.value)))
        for name in client.get_run(run_id).data.metrics
        if not name.startswith(SYSTEM)
        for metric in client.get_metric_history(run_id, name)
    }
