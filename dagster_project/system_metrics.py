"""What a training takes of its machine: MLflow's system metrics, and its own processes' memory.

MLflow's monitor samples CPU, memory, disk, network and GPU of the whole machine. Ours adds the
resident memory of the processes that train, which is what a memory limit is set by. The first
sample comes after a second, so that a short training has some, and each later one after a longer
while, so that a long one has hundreds and not tens of thousands.

`MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false` turns it off, and
`MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` sets one interval for all samples, as ever in MLflow. In
an outage the samples end: they are no result.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from mlflow.environment_variables import (
    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from dagster_project.tracking_store import MlflowUnreachableError, TrackingStore

FIRST_S, LONGEST_S, GROWTH = 1.0, 60.0, 1.3
"""Before the first sample, before a late one, and how intervals grow in between."""


class ProcessMonitor(BaseMetricsMonitor):
    """Resident memory and CPU time of this process and all that it has started."""

    def collect_metrics(self) -> None:
        """Take a sample."""
        this = psutil.Process()
        rss = cpu = 0.0
        for process in (this, *this.children(recursive=True)):
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    cpu += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue  # ended since it was listed
        self._metrics["process_rss_megabytes"].append(rss / 1e6)
        self._metrics["process_cpu_seconds"].append(cpu)

    def aggregate_metrics(self) -> Any:  # MLflow's base says None, and its own give what ours does
        """The most of the samples since the last time."""
        return {name: round(max(samples), 1) for name, samples in self._metrics.items()}


class Monitor(SystemMetricsMonitor):
    """MLflow's, with ours, at growing intervals."""

    def __init__(self, run_id: str, uri: str) -> None:
        super().__init__(run_id, resume_logging=True, tracking_uri=uri)
        self.sampling_interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or FIRST_S
        self.monitors: list[BaseMetricsMonitor] = [*self.monitors, ProcessMonitor()]

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        """Send a sample, and wait longer for the next."""
        super().publish_metrics(metrics)
        if MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() is None:
            self.sampling_interval = min(self.sampling_interval * GROWTH, LONGEST_S)

    def leave(self) -> None:
        """End without a last sample, and without waiting for one under way."""
        self._shutdown_event.set()


@contextmanager
def monitored(store: TrackingStore, run_id: str) -> Iterator[None]:
    """Sample for a run for as long as the block lasts, unless that is turned off."""
    is_asked = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    if is_asked.is_set() and not is_asked.get():
        yield
        return
    monitor = Monitor(run_id, store.uri)
    monitor.start()
    try:
        yield
    finally:
        try:
            store.check()
        except MlflowUnreachableError:
            monitor.leave()
        else:
            monitor.finish()
