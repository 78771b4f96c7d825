"""Group `reward_model`: the encoders that reward, and what judges and never rewards."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project.artifacts import Artifact
from dagster_project.assets.negatives import TABLE, lexicons
from dagster_project.run_config import ClipRewardRun, ClipRun, JudgeGrammarRun, settings
from dagster_project.shown import records_of
from dagster_project.stages import Registered, Stages, stage
from finecap.config import ClipConfig, ClipRewardConfig, JudgeGrammarConfig, Profile
from finecap.log import Log

if TYPE_CHECKING:
    import pandas as pd

GROUP = "reward_model"
_GRAMMAR, _ATTRIBUTES, _SPOILT = "grammar_negatives", "attribute_negatives", "spoilt_negatives"
NEGATIVES = {
    "grammar": (_GRAMMAR,),
    "grammar_attribute": (_GRAMMAR, _ATTRIBUTES),
    "grammar_spoilt": (_GRAMMAR, _SPOILT),
}
"""Reward encoders, and the tables each is tuned on."""
CLIP, JUDGE, CLIP_REWARD = "finecap-clip", "finecap-judge", "finecap-clip-reward"


def base_clip(profile: Profile) -> dg.AssetsDefinition:
    """The encoder that the others start from."""
    description = (
        "The contrastive encoder of features, plain CLIP rewards and reported CLIP scores."
    )
    return _encoder("base_clip", profile.base_clip, CLIP, 14, description)


def judge_clip(profile: Profile) -> dg.AssetsDefinition:
    """The independent yardstick."""
    description = (
        "An encoder that no reward ever sees: other seed, architecture and part of the data."
    )
    return _encoder("judge_clip", profile.judge_clip, JUDGE, 5, description)


def judge_grammar(profile: Profile) -> dg.AssetsDefinition:
    """The independent judge of sentences."""

    @stage(
        JudgeGrammarRun,
        profile.judge_grammar,
        group=GROUP,
        modules=("finecap.training.judge_grammar",),
        files=lexicons(),
        priority=4,
        kinds=("pytorch",),
    )
    def judge_grammar(
        context: dg.AssetExecutionContext,
        config: JudgeGrammarRun,
        validated_dataset: Artifact,
        judge_clip: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """A grammar network that no reward ever sees: other seed, other texts."""
        from finecap.training.judge_grammar import train_judge_grammar

        inputs = [validated_dataset, judge_clip]

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            records = records_of(validated_dataset.path)
            chosen = settings(config, JudgeGrammarConfig)
            kept = stages.checkpoints(context, config, inputs)
            return train_judge_grammar(judge_clip.path, records, chosen, folder, log, kept)

        return stages.run(context, config, inputs, work)

    return judge_grammar


def clip_reward(profile: Profile, name: str) -> dg.AssetsDefinition:
    """The base encoder with its text tower and a grammar head tuned on negatives."""
    tables = NEGATIVES[name]

    @stage(
        ClipRewardRun,
        profile.clip_reward,
        group=GROUP,
        modules=("finecap.training.clip_reward",),
        priority=10 if _ATTRIBUTES in tables else 9,  # the longer one first
        kinds=("pytorch", "mlflow"),
        key=["clip_reward", name],
        description=f"Reward encoder: text tower and grammar head tuned on {' and '.join(tables)}.",
        ins={table: dg.AssetIn() for table in tables},
    )
    def encoder(
        context: dg.AssetExecutionContext,
        config: ClipRewardRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        base_clip: Artifact,
        stages: Stages,
        **negatives: Artifact,
    ) -> dg.MaterializeResult:
        from finecap.training.clip_reward import finetune

        inputs = [dataset, validated_dataset, base_clip, *negatives.values()]

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            grammar = _table(*(negatives[t] for t in tables if t != _ATTRIBUTES))
            attributes = _table(negatives[_ATTRIBUTES]) if _ATTRIBUTES in tables else None
            records, chosen = records_of(validated_dataset.path), settings(config, ClipRewardConfig)
            base, images = base_clip.path, dataset.path
            kept = stages.checkpoints(context, config, inputs)
            return finetune(base, images, records, grammar, attributes, chosen, folder, log, kept)

        return stages.run(context, config, inputs, work, registered=Registered(CLIP_REWARD, name))

    return encoder


def _encoder(
    name: str, chosen: ClipConfig, model: str, priority: int, description: str
) -> dg.AssetsDefinition:
    """A contrastive encoder, trained here."""

    @stage(
        ClipRun,
        chosen,
        group=GROUP,
        modules=("finecap.training.clip",),
        priority=priority,
        kinds=("pytorch", "mlflow"),
        name=name,
        description=description,
    )
    def encoder(
        context: dg.AssetExecutionContext,
        config: ClipRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        from finecap.training.clip import train_clip

        inputs = [dataset, validated_dataset]

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            records, chosen = records_of(validated_dataset.path), settings(config, ClipConfig)
            kept = stages.checkpoints(context, config, inputs)
            return train_clip(dataset.path, records, chosen, folder, log, kept)

        return stages.run(context, config, inputs, work, registered=Registered(model, name))

    return encoder


def _table(*negatives: Artifact) -> "pd.DataFrame":
    """Tables of negatives as one."""
    import pandas as pd

    tables = [pd.read_parquet(artifact.path / TABLE) for artifact in negatives]
    return pd.concat(tables, ignore_index=True)
