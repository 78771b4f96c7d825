"""`python -m dagster_project.run`: the whole pipeline from a terminal, as `make run` calls it.

The run happens on the same Dagster instance that the UI opens, so it can be looked at afterwards. A
run that would make nothing is not started; `--force` makes everything anew.
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dagster as dg
import yaml
from rich.console import Console

from dagster_project.bars import bars
from dagster_project.forsaken import end_forsaken
from dagster_project.home import DEFAULT_PROFILE, Home, home_of, profile_in
from dagster_project.instance import write_instance
from dagster_project.tracking_store import MlflowUnreachableError, TrackingStore
from finecap.config import Profile, load_profile

COLUMNS = {
    "judge_t2i_r1": "judge R@1",
    "clip_s": "CLIP-S",
    "cider": "CIDEr",
    "background_recall": "background",
    "grammatical_rate": "grammatical",
    "repetition_rate": "repetition",
}
"""Of the table that ends a run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; 0 when everything was made or was there already."""
    options = _options(arguments)
    profile = use_profile(options.profile)
    home = home_of(profile.name)
    argument = options.profile
    if options.data_rev:
        argument = str(pinned(profile, argument, home, options.data_rev))
    checkpoints = {"base_clip": options.clip_checkpoint, "judge_clip": options.judge_checkpoint}
    if any(checkpoints.values()):
        argument = str(with_checkpoints(profile, argument, home, checkpoints))
    profile = use_profile(argument)
    prepare(home, profile)
    try:
        TrackingStore(home.mlflow).check()
    except MlflowUnreachableError as error:
        say(str(error))
        return 1
    started = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        from dagster_project.definitions import defs
        from dagster_project.plan import is_up_to_date

        if not options.force and is_up_to_date(defs, profile, home, instance):
            say(f"nothing to do: profile {profile.name} is up to date")
            _closing(home, profile, time.monotonic() - started)
            return 0
        from dagster_project.definitions import retrain_job

        run_id, is_success = execute(retrain_job, instance, _forced(defs) if options.force else {})
        _timing(instance, run_id)
    if not is_success:
        say(f"run {run_id} failed; the error is above and, with all events, in the UI (`make up`)")
        return 1
    _closing(home, profile, time.monotonic() - started)
    return 0


def use_profile(name_or_file: str) -> Profile:
    """The profile, for this process and the steps' processes, which build the same definitions."""
    os.environ["FINECAP_PROFILE"] = name_or_file
    return load_profile(name_or_file)


def pinned(profile: Profile, argument: str, home: Home, revision: str) -> Path:
    """File of a profile that is `profile` but for its data, which are those of a revision."""
    from dagster_project.revisions import fetch, pinned_profile

    folder = home.root / profile.data.folder
    data = fetch(home.root, folder, revision, home.cache / "revisions")
    say(f"data of {revision}: {_relative(data)}")
    return pinned_profile(argument, profile.name, data)


def with_checkpoints(
    profile: Profile, argument: str, home: Home, checkpoints: Mapping[str, Path | None]
) -> Path:
    """File of a profile that is `profile` but for the weights of its encoders.

    Args:
        profile: to extend.
        argument: its name or file.
        home: whose cache holds the file.
        checkpoints: by stage; None leaves the profile's own.

    Raises:
        FileNotFoundError: a file is not there.
    """
    chosen = {stage: file.resolve() for stage, file in checkpoints.items() if file is not None}
    for file in chosen.values():
        if not file.is_file():
            raise FileNotFoundError(f"checkpoint {file} does not exist")
    base = str(Path(argument).resolve()) if argument.endswith((".yaml", ".yml")) else argument
    content: dict[str, object] = {"extends": base, "name": profile.name}
    content |= {stage: {"pretrained": str(file)} for stage, file in chosen.items()}
    text = yaml.safe_dump(content, sort_keys=False)
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]
    path = home.cache / "checkpoints" / f"{profile.name}-{digest}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def prepare(home: Home, profile: Profile) -> None:
    """Bind the home to the profile and point Dagster and its processes at it."""
    home.claim(profile.name)
    os.environ["DAGSTER_HOME"] = str(write_instance(home))
    os.environ["FINECAP_HOME"] = str(home.path)
    # No telemetry from any of the three; a user who sets these otherwise is left alone.
    for name in ("DAGSTER_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    for run_id in end_forsaken(home):
        say(f"run {run_id} was broken off, its process is gone; it has failed and waits no more")


def execute(
    job: Callable[[], dg.JobDefinition], instance: dg.DagsterInstance, ops: Mapping[str, object]
) -> tuple[str, bool]:
    """Run a job, its progress on stderr; its id and whether all steps succeeded.

    Args:
        job: a function of `definitions`, which every step's process calls again.
        instance: where the run is kept.
        ops: run config of assets that differ from the profile.
    """
    config: dict[str, object] = {"loggers": {"progress": {}}, **({"ops": ops} if ops else {})}
    with (
        bars(Console(stderr=True)),
        dg.execute_job(
            dg.reconstructable(job), instance, run_config=config, raise_on_error=False
        ) as outcome,
    ):
        return outcome.run_id, outcome.success


def _forced(defs: dg.Definitions) -> dict[str, object]:
    """Run config that makes everything anew."""
    from dagster_project.jobs import everything, selected

    assets = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    nodes = [asset.node_def.name for asset in selected(assets, everything())]
    return {name: {"config": {"force": True}} for name in nodes}


def _timing(instance: dg.DagsterInstance, run_id: str) -> None:
    """Print where the time went."""
    from dagster_project.overhead import report, timings

    say("\n" + report(timings(instance, run_id)))


def _closing(home: Home, profile: Profile, seconds: float) -> None:
    """Print the table, where things lie, and what to do next."""
    say(f"\n{summary(home.reports / 'leaderboard.json')}\n\ndone in {seconds:.0f} s")
    say(next_steps(home, profile.name, os.environ["FINECAP_PROFILE"]))


def next_steps(home: Home, name: str, argument: str) -> str:
    """Where a run's results lie, and the commands that show them.

    Args:
        home: of the profile.
        name: of the profile.
        argument: what `PROFILE=` took to say it, a name or a file.
    """
    is_default = name == DEFAULT_PROFILE
    folder = "" if is_default else f"FINECAP_HOME={shlex.quote(_relative(home.path))} "
    suffix = "" if is_default else f" PROFILE={shlex.quote(argument)}"
    return "\n".join(
        [
            f"all scores   {_relative(home.reports / 'leaderboard.md')}",
            f"artifacts    {_relative(home.artifacts)}",
            f"browse       make up{suffix}",
            f'search       {folder}.venv/bin/finecap search "red boat near a house"',
        ]
    )


def summary(leaderboard: Path) -> str:
    """The variants' main test scores as plain text."""
    content = json.loads(leaderboard.read_text())
    variants: dict[str, dict[str, dict[str, float | None]]] = content["variants"]
    width = max(len(name) for name in variants)
    head = f"{'variant':<{width}}" + "".join(f"  {title:>11}" for title in COLUMNS.values())
    lines = [f"profile {content['profile']}, test split, data {content['data_md5'][:8]}", head]
    for name, metrics in variants.items():
        values = [metrics.get(metric, {}).get("value") for metric in COLUMNS]
        cells = [f"  {'-' if value is None else f'{value:.3f}':>11}" for value in values]
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def _relative(path: Path) -> str:
    """The path from here, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dagster_project.run", description=__doc__)
    parser.add_argument("--profile", default=profile_in(), help="built-in name, or a YAML file")
    parser.add_argument("--data-rev", help="train on the data as they were at this git revision")
    parser.add_argument(
        "--clip-checkpoint", type=Path, help="weights of the profile's base encoder, a file"
    )
    parser.add_argument("--judge-checkpoint", type=Path, help="and of its judge")
    parser.add_argument("--force", action="store_true", help="make everything anew")
    return parser.parse_args(arguments)


def say(text: str) -> None:
    """Write to the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
