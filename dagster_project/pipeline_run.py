"""The MLflow run that stands for one pipeline run: begun, filled and ended as that is.

It is begun by the first stage that has something for it, as of the start of the Dagster run, and
ends with that (`executor`). Models are runs below it; the leaderboard's files, what was decided and
the champion's scores lie in it. The scores have a prefix, so that they are no row of their own
where runs are sorted by a metric.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.tracked_run import TrackedRun

if TYPE_CHECKING:
    from dagster_project.dataset_input import DataSet
    from dagster_project.tracking import Tracker

KIND = "pipeline"
RUNNING = "RUNNING"
CHAMPION = "champion/"
"""Prefix of the champion's scores."""
_HOME = "home"
"""Tag: whose run it is, where homes share an MLflow."""
_SHORT = 8  # characters of a Dagster run's id


@dataclass(frozen=True)
class DagsterRun:
    """The pipeline run that tracking is done for."""

    run_id: str
    job: str = KIND
    started_s: float | None = None  # seconds since 1970


class PipelineRun:
    """The run of one Dagster run in a tracker's store."""

    def __init__(self, tracker: "Tracker", dagster: DagsterRun) -> None:
        self._tracker, self.dagster = tracker, dagster

    @property
    def run_id(self) -> str:
        """The run, begun on first use."""
        tracker = self._tracker
        _ = tracker.experiment_id, tracker.home_id  # made under that lock, which is not taken twice
        with tracker.lock():
            return self.found() or self._begin()

    def found(self) -> str | None:
        """The run, if it was begun."""
        where = f"tags.dagster_run_id = '{self.dagster.run_id}' and tags.kind = '{KIND}'"
        experiments = [self._tracker.experiment_id]
        found = self._tracker.client.search_runs(experiments, where, max_results=1)
        return found[0].info.run_id if found else None

    def attach(self, folder: Path, names: Sequence[str], about: str) -> None:
        """Attach files, and describe the run.

        Args:
            folder: that the files lie in.
            names: of the files.
            about: Markdown, shown above everything else.
        """
        client, run_id = self._tracker.client, self.run_id
        for name in names:
            client.log_artifact(run_id, str(folder / name), "leaderboard")
        client.set_tag(run_id, "mlflow.note.content", about)

    def decide(self, tags: Mapping[str, str], scores: Mapping[str, float]) -> None:
        """Note what was decided, and the scores of the version that is champion now."""
        run = TrackedRun(self._tracker.client, self.run_id)
        run.log(0, {f"{CHAMPION}{name}": value for name, value in scores.items()})
        run.flush()
        for key, value in tags.items():
            self._tracker.client.set_tag(run.run_id, key, value)

    def log_data(self, data: "DataSet", context: str) -> None:
        """Note the data set."""
        self._tracker.log_data(self.run_id, data, context)

    def end(self, status: str, at_s: float | None = None) -> None:
        """End the run, if it was begun and has not ended."""
        run_id = self.found()
        if run_id is not None and self._tracker.status(run_id) == RUNNING:
            at = time.time() if at_s is None else at_s
            self._tracker.client.set_terminated(run_id, status, int(at * 1000))

    def _begin(self) -> str:
        """A new run, as old as the Dagster run."""
        tags = {
            _HOME: self._tracker.home_id,
            "mlflow.runName": f"{self.dagster.job} {self.dagster.run_id[:_SHORT]}",
            "mlflow.source.name": "dagster_project",
            "dagster_run_id": self.dagster.run_id,
            "kind": KIND,
            "git_commit": git_commit(),
        }
        started = time.time() if self.dagster.started_s is None else self.dagster.started_s
        tracker = self._tracker
        run = tracker.client.create_run(tracker.experiment_id, int(started * 1000), tags)
        return run.info.run_id


def open_pipelines(tracker: "Tracker") -> list[str]:
    """Dagster ids of this home's pipeline runs that have not ended.

    Another home's may be at work: what says that they are not is in that home alone.
    """
    own = f" and tags.{_HOME} = '{tracker.home_id}'" if tracker.is_shared else ""
    where = f"tags.kind = '{KIND}' and attributes.status = '{RUNNING}'{own}"
    runs = tracker.client.search_runs([tracker.experiment_id], where)
    return [run.data.tags["dagster_run_id"] for run in runs]


def git_commit() -> str:
    """The commit checked out where the project lies, `-dirty` when files differ, or `unknown`."""
    root = Path(__file__).resolve().parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # a tag for people; a copy without git trains all the same
