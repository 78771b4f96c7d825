"""Group `captioner`: frozen features, maximum likelihood, and one captioner per reward.

Which encoder rewards what: `clip_s` and `cider_clip_s` are judged by `base_clip`, the grammar
variants by the encoder tuned for them, `self_retrieval` by that of `clip_s_grammar`. `cider` needs
no encoder; it is given `base_clip`, whose vectors the features hold anyway.
"""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from dagster_project import shown
from dagster_project.artifacts import Artifact
from dagster_project.champion import CAPTIONER
from dagster_project.launch import trained
from dagster_project.run_config import FeaturesRun, MleRun, ScstRun, settings
from dagster_project.shown import RECORDS, records_of
from dagster_project.stages import Registered, Stages, stage
from dagster_project.unfinished import unfinished
from dagster_project.worker import MleTask, ScstTask
from finecap.config import FeaturesConfig, MleConfig, Profile, ScstConfig
from finecap.log import Log

GROUP = "captioner"
REWARD_ENCODERS = {
    "clip_s_grammar": ["clip_reward", "grammar"],
    "clip_s_grammar_attribute": ["clip_reward", "grammar_attribute"],
    "clip_s_grammar_spoilt": ["clip_reward", "grammar_spoilt"],
    "self_retrieval": ["clip_reward", "grammar"],
}
CONTROL = "mle_alt_text"
"""A control row of the table: maximum likelihood on the long texts themselves."""


def by_hand(profile: Profile, reward: str) -> str:
    """What a description says of a variant that no job trains."""
    return "; only by hand" if reward in profile.optional else ""


def has_control(profile: Profile) -> bool:
    """Whether the profile's data has the long texts that the control learns."""
    return profile.base_clip.text == "alt_text"


def image_features(profile: Profile) -> dg.AssetsDefinition:
    """What captioners and rewards read instead of images."""

    @stage(
        FeaturesRun,
        profile.features,
        group=GROUP,
        modules=("finecap.models.features",),
        priority=13,
        kinds=("pytorch",),
    )
    def image_features(
        context: dg.AssetExecutionContext,
        config: FeaturesRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        base_clip: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """Frozen grid features and CLIP vectors of every image, memory-mapped."""
        from finecap.models.features import extract

        inputs = [dataset, validated_dataset, base_clip]

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            records, chosen = records_of(validated_dataset.path), settings(config, FeaturesConfig)
            with unfinished(stages.checkpoints(context, config, inputs)) as kept:
                if config.force and context.retry_number == 0:
                    kept.empty()
                images, growing = dataset.path, kept.folder
                metrics = extract(images, records, base_clip.path, chosen, folder, log, growing)
                for line in kept.clear():
                    context.log.info(line)
            return metrics

        return stages.run(context, config, inputs, work)

    return image_features


def mle_captioner(profile: Profile) -> dg.AssetsDefinition:
    """The start of every self-critical captioner."""
    return _mle("mle_captioner", "mle", profile.mle, priority=12)


def mle_alt_text_captioner(profile: Profile) -> dg.AssetsDefinition:
    """The control."""
    chosen = profile.mle.model_copy(update={"text": "alt_text"})
    return _mle("mle_alt_text_captioner", CONTROL, chosen, priority=4)


def scst(profile: Profile, reward: str) -> dg.AssetsDefinition:
    """The captioner tuned by one reward."""
    encoder_key = REWARD_ENCODERS.get(reward, ["base_clip"])
    # The arms that take longest first: otherwise one core waits for the last of them. Captions
    # stay short under a CIDEr term, and steps with them.
    priority = 7 if "cider" in profile.scst[reward].weights else 8

    @stage(
        ScstRun,
        profile.scst[reward],
        group=GROUP,
        modules=("finecap.training.scst",),
        priority=priority,
        kinds=("pytorch", "mlflow"),
        key=["scst", reward],
        description=f"Self-critical sequence training by reward `{reward}`"
        f"{by_hand(profile, reward)}.",
        ins={"encoder": dg.AssetIn(key=encoder_key)},
    )
    def captioner(
        context: dg.AssetExecutionContext,
        config: ScstRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        image_features: Artifact,
        mle_captioner: Artifact,
        encoder: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        chosen = settings(config, ScstConfig)
        inputs = [dataset, validated_dataset, image_features, mle_captioner, encoder]

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            task = ScstTask(
                config=chosen,
                mle=mle_captioner.path,
                features=image_features.path,
                records=validated_dataset.path / RECORDS,
                encoder=encoder.path,
                destination=folder,
                checkpoints=stages.checkpoints(context, config, inputs),
            )
            return trained(context, task, log)

        def details(folder: Path) -> Mapping[str, str]:
            seen, records = image_features.path, records_of(validated_dataset.path)
            return shown.captioner(folder, seen, dataset.path, records, chosen.max_tokens)

        registered = Registered(CAPTIONER, reward, stages.parent(image_features, "base_clip"))
        return stages.run(context, config, inputs, work, details=details, registered=registered)

    return captioner


def _mle(name: str, variant: str, chosen: MleConfig, priority: int) -> dg.AssetsDefinition:
    """A captioner by maximum likelihood, on the texts that its settings name."""

    @stage(
        MleRun,
        chosen,
        group=GROUP,
        modules=("finecap.training.mle",),
        priority=priority,
        kinds=("pytorch", "mlflow"),
        name=name,
        description=f"Maximum likelihood on `{chosen.text}`.",
    )
    def captioner(
        context: dg.AssetExecutionContext,
        config: MleRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        image_features: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        chosen = settings(config, MleConfig)
        inputs = [dataset, validated_dataset, image_features]
        encoder = stages.parent(image_features, "base_clip")

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            task = MleTask(
                config=chosen,
                features=image_features.path,
                encoder=encoder.path,
                records=validated_dataset.path / RECORDS,
                destination=folder,
                checkpoints=stages.checkpoints(context, config, inputs),
            )
            return trained(context, task, log)

        def details(folder: Path) -> Mapping[str, str]:
            seen, records = image_features.path, records_of(validated_dataset.path)
            return shown.captioner(folder, seen, dataset.path, records, chosen.max_tokens)

        registered = Registered(CAPTIONER, variant, encoder)
        return stages.run(context, config, inputs, work, details=details, registered=registered)

    return captioner
