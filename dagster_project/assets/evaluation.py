"""Group `evaluation`: every variant's scores, the table of all of them, and the champion."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import dagster as dg

from dagster_project import shown
from dagster_project.artifacts import Artifact
from dagster_project.assets.captioner import CONTROL, by_hand, has_control
from dagster_project.champion import captioner_asset, choose_champion
from dagster_project.home import POLICY
from dagster_project.published import log_decision, log_scores, publish_leaderboard
from dagster_project.run_config import EvaluationRun, Forcible, settings
from dagster_project.scoring import Parts, evaluating
from dagster_project.stages import REGISTRY, Stages, stage
from finecap.config import EvaluationConfig, Profile
from finecap.log import Log

GROUP = "evaluation"


def captioner_keys(profile: Profile) -> dict[str, list[str]]:
    """The captioner's asset key by variant, in table order."""
    keys = {"mle": ["mle_captioner"], **{reward: ["scst", reward] for reward in profile.scst}}
    return {**keys, **({CONTROL: ["mle_alt_text_captioner"]} if has_control(profile) else {})}


def default_variants(profile: Profile) -> list[str]:
    """The variants that the table and the choice of champion need, in table order."""
    return [variant for variant in captioner_keys(profile) if variant not in profile.optional]


def evaluation(profile: Profile, variant: str) -> dg.AssetsDefinition:
    """One variant's scores on val and test."""

    @stage(
        EvaluationRun,
        profile.evaluation,
        group=GROUP,
        modules=("finecap.evaluation.evaluate",),
        priority=6,
        kinds=("pytorch",),
        key=["evaluation", variant],
        description=f"Every metric of variant `{variant}`: val for decisions, test for the table"
        f"{by_hand(profile, variant)}.",
        ins={"captioner": dg.AssetIn(key=captioner_keys(profile)[variant])},
    )
    def scores(
        context: dg.AssetExecutionContext,
        config: EvaluationRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        base_clip: Artifact,
        judge_clip: Artifact,
        judge_grammar: Artifact,
        image_features: Artifact,
        captioner: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        parts = Parts(
            dataset, validated_dataset, base_clip, judge_clip, judge_grammar, image_features
        )
        chosen = settings(config, EvaluationConfig)
        work = evaluating(captioner.path, parts, chosen, stages.home.cache)
        details = partial(shown.evaluation, images=dataset.path)
        made = stages.run(context, config, [*parts, captioner], work, details=details)
        log_scores(stages, context, stages.artifact_of(context, made), captioner)
        return made

    return scores


def leaderboard(profile: Profile) -> dg.AssetsDefinition:
    """The table."""
    variants = default_variants(profile)

    @stage(
        Forcible,
        None,
        group=GROUP,
        modules=("finecap.evaluation.report",),
        kinds=("html", "mlflow"),
        priority=3,
        ins={variant: dg.AssetIn(key=["evaluation", variant]) for variant in variants},
    )
    def leaderboard(
        context: dg.AssetExecutionContext,
        config: Forcible,
        dataset: Artifact,
        stages: Stages,
        **evaluations: Artifact,
    ) -> dg.MaterializeResult:
        """Variants side by side: table, plot, sample captions beside their images."""
        from finecap.evaluation.report import write_leaderboard

        def work(folder: Path, _: Log) -> Mapping[str, float]:
            folders = {variant: artifact.path for variant, artifact in evaluations.items()}
            md5, name = dataset.data_version, stages.profile
            write_leaderboard(folders, dataset.path, folder, profile=name, data_md5=md5)
            return {"variants": float(len(folders))}

        inputs = [dataset, *evaluations.values()]
        made = stages.run(context, config, inputs, work, details=shown.leaderboard)
        versions = {v: a.inputs[captioner_asset(v)] for v, a in evaluations.items()}
        rewarded = {v: version for v, version in versions.items() if v in profile.scst}
        return publish_leaderboard(stages, context, made, rewarded)

    return leaderboard


def champion(profile: Profile) -> dg.AssetsDefinition:
    """The captioner that the alias names, after the policy had its say."""
    candidates = [variant for variant in default_variants(profile) if variant != CONTROL]

    @stage(
        Forcible,
        None,
        group=GROUP,
        modules=("finecap.evaluation.promotion", "finecap.models.export"),
        files=[POLICY],
        priority=3,
        kinds=("mlflow",),
        pool=REGISTRY,
        ins={variant: dg.AssetIn(key=["evaluation", variant]) for variant in candidates},
    )
    def champion(
        context: dg.AssetExecutionContext,
        config: Forcible,  # noqa: ARG001  every stage has one
        dataset: Artifact,
        validated_dataset: Artifact,
        base_clip: Artifact,
        judge_clip: Artifact,
        judge_grammar: Artifact,
        image_features: Artifact,
        stages: Stages,
        **evaluations: Artifact,
    ) -> dg.MaterializeResult:
        """Promotion by policy on val; then an export of the version that the alias names."""
        parts = Parts(
            dataset, validated_dataset, base_clip, judge_clip, judge_grammar, image_features
        )
        made = choose_champion(context, stages, parts, evaluations, profile.evaluation)
        log_decision(stages, context, made)
        return made

    return champion
