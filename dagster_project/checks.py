"""Asset checks: what must hold before the next asset may use a result, or before people trust it.

Each reads an artifact that its asset has handed over; nothing here trains, scores or builds.
"""

import math
from collections.abc import Mapping, Sequence

import dagster as dg

from dagster_project.artifacts import Artifact
from dagster_project.resources import materialized_version
from dagster_project.stages import Stages
from finecap.config import Profile

COLLAPSED = 0.8
"""A reward that ends below this share of where it started has collapsed."""


@dg.asset_check(asset="validated_dataset", blocking=True, description="Nothing failed validation.")
def data_is_valid(validated_dataset: Artifact) -> dg.AssetCheckResult:
    """Block training on data that did not pass; quarantined rows are shown."""
    metrics = validated_dataset.metrics
    counts = {name: metrics[name] for name in ("records", "quarantined")}
    return dg.AssetCheckResult(passed=bool(metrics["success"]), metadata=counts)


@dg.asset_check(
    asset="caption_index",
    additional_ins={"captions": dg.AssetIn()},
    description="The live build holds the whole gallery.",
)
def index_holds_the_gallery(caption_index: Artifact, captions: Artifact) -> dg.AssetCheckResult:
    """As many rows in the index as captions in the table."""
    rows, images = caption_index.metrics["rows"], captions.metrics["images"]
    return dg.AssetCheckResult(passed=rows == images, metadata={"rows": rows, "captions": images})


def rewards_did_not_collapse(profile: Profile) -> dg.AssetChecksDefinition:
    """One check per self-critical captioner, all in one step."""
    name = "reward_did_not_collapse"
    keys = [dg.AssetKey(["scst", reward]) for reward in profile.scst]

    @dg.multi_asset_check(
        name=name,
        specs=[dg.AssetCheckSpec(name, asset=key) for key in keys],
        can_subset=True,  # else a captioner could not be materialized without the others
    )
    def rewards_did_not_collapse(context: dg.AssetCheckExecutionContext, stages: Stages):
        chosen = {check.asset_key for check in context.selected_asset_check_keys}
        for key in [key for key in keys if key in chosen]:
            version = materialized_version(context.instance, key, context.run.run_id)
            artifact = stages.store.get("/".join(key.path), version or "")
            first, last = reward_ends(artifact.history)
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=name,
                passed=math.isfinite(last) and last >= COLLAPSED * first,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"first": first, "last": last},
            )

    return rewards_did_not_collapse


def reward_ends(history: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """The reward on val before training and at its last look; NaN where it was never looked at."""
    seen = [row["val_reward"] for row in history if "val_reward" in row]
    return (seen[0], seen[-1]) if seen else (math.nan, math.nan)


def checks(profile: Profile) -> list[dg.AssetChecksDefinition]:
    """All checks of the graph."""
    return [data_is_valid, index_holds_the_gallery, rewards_did_not_collapse(profile)]
