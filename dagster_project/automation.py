"""What starts the pipeline by itself: every week, new data, and a champion that someone moved.

All are off until someone turns them on in the UI.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project.assets import captioner
from dagster_project.home import Home
from dagster_project.indexing import searched_version
from dagster_project.jobs import REINDEX, RETRAIN
from dagster_project.pointer import pointer_md5
from dagster_project.registry import Registry, registry_of
from dagster_project.resources import materialized_version
from finecap.config import Profile

if TYPE_CHECKING:
    from dagster_project.history import Move

AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
MONDAY_AT_THREE = "0 3 * * 1"


def weekly_retrain(assets: Sequence[dg.AssetsDefinition]) -> dg.ScheduleDefinition:
    """Retrain every Monday; the captioners' seed is the ISO week.

    So unchanged data still gives a new challenger. Encoders keep their seed, and are reused: a new
    judge or base encoder every week would make last week's scores incomparable.
    """
    seeded = [a.node_def.name for a in assets if _is_seeded(a)]

    @dg.schedule(
        job_name=RETRAIN,
        cron_schedule=MONDAY_AT_THREE,
        execution_timezone="UTC",
        name="weekly_retrain",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def weekly_retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Train the captioners anew, seeded by the ISO week."""
        year, week, _ = context.scheduled_execution_time.isocalendar()
        seed = year * 100 + week
        ops = {name: {"config": {"seed": seed}} for name in seeded}
        return dg.RunRequest(
            run_key=f"week-{seed}", run_config={"ops": ops}, tags={"seed": str(seed)}
        )

    return weekly_retrain


def new_data(profile: Profile, root: Path) -> dg.SensorDefinition:
    """Retrain once per version of the data; a version seen before does not retrain again."""
    pointer = root / profile.data.pointer

    @dg.sensor(
        job_name=RETRAIN,
        name="new_data",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def new_data(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Retrain when the md5 in the DVC pointer is one that no run has seen."""
        md5 = pointer_md5(pointer)
        if md5 is None:
            return dg.SkipReason(f"{pointer} does not exist yet")
        seen: list[str] = json.loads(context.cursor or "[]")
        if md5 in seen:
            return dg.SkipReason(f"{pointer.name} names {md5}, which has been trained on")
        context.update_cursor(json.dumps([*seen, md5]))
        if materialized_version(context.instance, dg.AssetKey("dataset")) == md5:
            return dg.SkipReason(f"{md5} was materialized by another run")
        return dg.RunRequest(run_key=md5, tags={"data_md5": md5})

    return new_data


def champion_moved(home: Home) -> dg.SensorDefinition:
    """Caption and index again when the champion is no longer what is searched."""

    @dg.sensor(
        job_name=REINDEX,
        name="champion_moved",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def champion_moved(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Caption and index again when someone moved the champion's alias in MLflow."""
        at_work = context.instance.get_runs(dg.RunsFilter(statuses=AT_WORK), limit=1)
        if at_work:
            return dg.SkipReason(f"run {at_work[0].run_id[:8]} may be about to index")
        registry = registry_of(home)
        if registry is None:
            return dg.SkipReason("nothing was registered yet")
        move = last_move(registry)
        if move is None or not move.after:
            return dg.SkipReason("no captioner is champion")
        searched = searched_version(home)
        if searched in {"", move.after}:
            return dg.SkipReason(f"v{searched} is searched" if searched else "no index is live yet")
        return dg.RunRequest(
            run_key=f"move-{move.number}-v{move.after}",
            tags={"champion": move.after, "searched_before": searched},
        )

    return champion_moved


def last_move(registry: Registry) -> "Move | None":
    """The last move of the alias, one that was made in the MLflow UI included."""
    registry.settle()
    moves = registry.history()
    return moves[-1] if moves else None


def _is_seeded(asset: dg.AssetsDefinition) -> bool:
    """Whether the asset is a captioner, which draws its seed anew."""
    return all(
        asset.group_names_by_key[key] == captioner.GROUP and key.path[-1] != "image_features"
        for key in asset.keys
    )
