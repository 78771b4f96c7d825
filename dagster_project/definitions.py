"""The code location, on one page: which assets, jobs, automation and resources there are.

Everything is built from a profile by `build_defs`; nothing is discovered. The environment says
which profile (`FINECAP_PROFILE`) and where its state lives (`FINECAP_HOME`). Importing this module
costs a second and loads neither torch nor mlflow nor great_expectations.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_project import alerts, automation, checks, jobs
from dagster_project.assets import captioner, data, evaluation, negatives, reward_model, search
from dagster_project.executor import tracked_executor
from dagster_project.home import Home, home_of, profile_in
from dagster_project.progress import progress_logger
from dagster_project.resources import ArtifactIOManager, DataResource
from dagster_project.stages import Stages
from finecap.config import Profile, load_profile


def build_defs(
    profile: Profile | None = None,
    home: Home | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """All definitions of one profile.

    Args:
        profile: all settings; by default the one the environment names.
        home: where its state lives; by default as the environment says.
        resource_overrides: replacements by resource name, for tests and other stacks.
    """
    profile = profile or load_profile(profile_in())
    home = home or home_of(profile.name)
    assets = all_assets(profile)
    return dg.Definitions(
        assets=assets,
        asset_checks=checks.checks(profile),
        jobs=[jobs.retrain(), jobs.study(), jobs.reindex()],
        schedules=[automation.weekly_retrain(jobs.selected(assets, jobs.everything()))],
        sensors=[
            automation.new_data(profile, home.root),
            automation.champion_moved(home),
            alerts.run_failed(profile.name),
        ],
        resources={**resources(profile, home), **(resource_overrides or {})},
        executor=tracked_executor(home, profile.name),
        loggers={"progress": progress_logger},
    )


def all_assets(profile: Profile) -> list[dg.AssetsDefinition]:
    """The graph."""
    variants = evaluation.captioner_keys(profile)
    control = captioner.has_control(profile)
    spoilt = negatives.SPOILT in profile.scst
    return [
        data.dataset(profile),
        data.validated_dataset(profile),
        negatives.grammar_negatives(profile),
        negatives.attribute_negatives(profile),
        *([negatives.spoilt_negatives(profile)] if spoilt else []),
        reward_model.base_clip(profile),
        reward_model.clip_reward(profile, "grammar"),
        reward_model.clip_reward(profile, "grammar_attribute"),
        *([reward_model.clip_reward(profile, "grammar_spoilt")] if spoilt else []),
        reward_model.judge_clip(profile),
        reward_model.judge_grammar(profile),
        captioner.image_features(profile),
        captioner.mle_captioner(profile),
        *([captioner.mle_alt_text_captioner(profile)] if control else []),
        *(captioner.scst(profile, reward) for reward in profile.scst),
        *(evaluation.evaluation(profile, variant) for variant in variants),
        evaluation.leaderboard(profile),
        evaluation.champion(profile),
        search.captions(profile),
        search.caption_index(profile),
    ]


def resources(profile: Profile, home: Home) -> dict[str, Any]:
    """What assets are handed, by name."""
    root, path = str(home.root), str(home.path)
    return {
        "artifacts": ArtifactIOManager(folder=str(home.artifacts)),
        "data": DataResource(root=root, home=path),
        "stages": Stages(profile=profile.name, root=root, path=path),
        "webhook": alerts.Webhook(),
    }


def retrain_job() -> dg.JobDefinition:
    """The whole pipeline as a job, as every step's process builds it again."""
    return defs.resolve_job_def(jobs.RETRAIN)


def study_job() -> dg.JobDefinition:
    """Everything up to the scores, likewise."""
    return defs.resolve_job_def(jobs.STUDY)


def reindex_job() -> dg.JobDefinition:
    """Champion, captions and index, likewise."""
    return defs.resolve_job_def(jobs.REINDEX)


defs = build_defs()
