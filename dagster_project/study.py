"""`python -m dagster_project.study --seeds 0,1,2`: the chain once per seed, and its spread.

Every stage that draws at random gets the profile's seed plus the study's; the data set and the
bootstrap keep theirs, so that rows differ by training alone. Variants that a run leaves out are
compared too. Nothing goes live: no alias, no leaderboard, no index. Resumable: a stage whose data
version exists is not run again. Seeds run from the last to the first, so that the graph ends where
a plain run of the profile left it.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from rich.console import Console

from dagster_project.artifacts import ArtifactStore
from dagster_project.bars import bars
from dagster_project.docs import README, write_block
from dagster_project.home import Home, home_of, profile_in
from dagster_project.pointer import pointer_md5
from dagster_project.resources import materialized_version
from dagster_project.run import prepare, say, use_profile
from dagster_project.study_table import results
from finecap.config import Profile
from finecap.evaluation import plot
from finecap.evaluation.results import Measured, Metric, write_bytes

README_PROFILE = "scenes"
"""The profile whose study the README shows."""

FIXED = ("dataset", "evaluation")
"""Assets, by first part of the key, whose seed is not the training's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; 0 when every seed's chain went through."""
    options = _options(arguments)
    profile = use_profile(options.profile)
    home = home_of(profile.name)
    prepare(home, profile)
    seeds: list[int] = options.seeds
    scores: dict[int, dict[str, Mapping[str, float]]] = {}
    with dg.DagsterInstance.get() as instance, bars(Console(stderr=True)):
        for seed in sorted(seeds, reverse=True):
            say(f"seed {seed}")
            run_id = _execute(instance, seed)
            if run_id is None:
                say(f"seed {seed} failed; run the same command again to go on from there")
                return 1
            scores[seed] = _scores(instance, run_id, home)
    md5 = pointer_md5(home.root / profile.data.pointer) or ""
    content = summary(profile, md5, {seed: scores[seed] for seed in seeds})
    home.reports.mkdir(parents=True, exist_ok=True)
    write_bytes(home.reports / "study.json", (json.dumps(content, indent=1) + "\n").encode())
    write_bytes(home.reports / "study.png", picture(content))
    table = results(content, profile.data.test_images)
    say(f"{table}\n\n{len(seeds)} seeds: {home.reports / 'study.json'}, and its plot beside it")
    if profile.name == README_PROFILE:
        write_block("results", table)
        say(f"the results in {README.name} are written anew")
    return 0


def seeded(assets: Sequence[dg.AssetsDefinition], seed: int) -> dict[str, dict[str, object]]:
    """Run config by op: `seed` added to the profile's own, wherever a stage trains or draws."""
    ops: dict[str, dict[str, object]] = {}
    for asset in assets:
        own = asset.metadata_by_key[asset.key]["settings"].value
        if "seed" in own and asset.key.path[0] not in FIXED:
            ops[asset.node_def.name] = {"config": {"seed": own["seed"] + seed}}
    return ops


def summary(
    profile: Profile, md5: str, scores: Mapping[int, Mapping[str, Mapping[str, float]]]
) -> dict[str, object]:
    """Mean, spread and values by variant and test metric.

    Args:
        profile: named in the report.
        md5: of the data that all seeds read.
        scores: by seed, then variant, then `test/<metric>` (val metrics are left out).
    """
    seeds = list(scores)
    variants = list(scores[seeds[0]])
    table: dict[str, dict[str, object]] = {}
    for variant in variants:
        names = [n for n in scores[seeds[0]][variant] if n.startswith("test/")]
        shared = [n for n in names if all(n in scores[seed][variant] for seed in seeds)]
        table[variant] = {
            name.removeprefix("test/"): _spread([scores[seed][variant][name] for seed in seeds])
            for name in shared
        }
    return {"profile": profile.name, "data_md5": md5, "seeds": seeds, "variants": table}


def picture(study: Mapping[str, Any]) -> bytes:
    """PNG of detail against fluency, a point per variant: its mean, with bars over all seeds."""
    seeds = study["seeds"]
    points: dict[str, dict[str, Metric]] = {
        variant: {
            name: Measured(
                value=spread["mean"],
                ci_low=min(spread["values"]),
                ci_high=max(spread["values"]),
                n=len(seeds),
            )
            for name, spread in row.items()
        }
        for variant, row in study["variants"].items()
    }
    title = f"Detail against fluency, {study['profile']}, test split, bars over {len(seeds)} seeds"
    return plot.draw(points, title)


def _spread(values: Sequence[float]) -> dict[str, object]:
    """Mean and sample standard deviation, which one value does not have."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "values": list(values)}


def _execute(instance: dg.DagsterInstance, seed: int) -> str | None:
    """Run the chain with that seed; its run id, None when it failed."""
    from dagster_project.definitions import defs, study_job
    from dagster_project.jobs import selected, studied

    assets = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    config = {"loggers": {"progress": {}}, "ops": seeded(selected(assets, studied()), seed)}
    job = dg.reconstructable(study_job)
    with dg.execute_job(job, instance, run_config=config, raise_on_error=False) as outcome:
        return outcome.run_id if outcome.success else None


def _scores(
    instance: dg.DagsterInstance, run_id: str, home: Home
) -> dict[str, Mapping[str, float]]:
    """Each variant's metrics in that run."""
    from dagster_project.definitions import defs
    from dagster_project.jobs import studied

    store = ArtifactStore(home.artifacts)
    keys = [k for k in studied().resolve(defs.resolve_asset_graph()) if k.path[0] == "evaluation"]
    return {
        key.path[1]: store.get(
            "/".join(key.path), materialized_version(instance, key, run_id) or ""
        ).metrics
        for key in sorted(keys)
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dagster_project.study")
    parser.add_argument("--profile", default=profile_in(), help="built-in name, or a YAML file")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="e.g. 0,1,2")
    return parser.parse_args(arguments)


def _seeds(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


if __name__ == "__main__":
    sys.exit(main())
