"""Where a run's time went: per asset, seconds in all and seconds outside the library's calls.

Read from Dagster's event log: a step counts from the moment its process is asked for to its last
event, so that forking, imports, the event log, MLflow and pictures are all in the overhead.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Timing:
    """One step's time."""

    asset: str
    seconds: float
    library_seconds: float
    status: str

    @property
    def overhead(self) -> float:
        """Seconds that were not the library's."""
        return max(0.0, self.seconds - self.library_seconds)


def timings(instance: dg.DagsterInstance, run_id: str) -> list[Timing]:
    """Of each step that has ended, in the order of their ends."""
    started: dict[str, float] = {}
    library: dict[str, tuple[float, str]] = {}
    found: list[Timing] = []
    for record in instance.all_logs(run_id):
        event = record.dagster_event
        if event is None or event.step_key is None:
            continue
        kind, step = event.event_type_value, event.step_key
        if kind in {"STEP_WORKER_STARTING", "STEP_START"}:
            started.setdefault(step, record.timestamp)
        elif kind == "ASSET_MATERIALIZATION":
            shown = event.step_materialization_data.materialization.metadata
            seconds = shown["library_seconds"].value if "library_seconds" in shown else 0.0
            status = str(shown["status"].value) if "status" in shown else ""
            library[step] = (float(seconds or 0.0), status)  # type: ignore[arg-type]
        elif kind in {"STEP_SUCCESS", "STEP_FAILURE"} and step in started:
            seconds, status = library.get(step, (0.0, "check"))
            status = "failed" if kind == "STEP_FAILURE" else status
            name = step.replace("__", "/")
            found.append(Timing(name, record.timestamp - started[step], seconds, status))
    return found


def report(rows: Sequence[Timing]) -> str:
    """The table that ends a run, and the median overhead of assets."""
    if not rows:
        return "no step ran"
    width = max(len(row.asset) for row in rows)
    lines = [f"{'asset':<{width}}  seconds  library  overhead"]
    lines += [
        f"{row.asset:<{width}}  {row.seconds:7.1f}  {row.library_seconds:7.1f}  {row.overhead:8.1f}"
        f"  {row.status}"
        for row in rows
    ]
    median = statistics.median(row.overhead for row in rows)
    return "\n".join([*lines, f"median overhead {median:.1f} s"])
