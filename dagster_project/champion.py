"""The body of asset `champion`: registry facts to the policy, and the winner's export.

`promotion` decides; this module finds versions and scores of today's variants, scores a champion
again where that is asked for, and keeps an export of the champion (captioner and encoder), which
is what captions the gallery and what serving loads: never the registry.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project import metadata
from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.compared import CAPTIONER
from dagster_project.history import Actor, me
from dagster_project.home import POLICY
from dagster_project.registry import Registry
from dagster_project.reporting import History, reporter
from dagster_project.scoring import Parts, evaluating
from dagster_project.shown import records_of
from dagster_project.stages import Stages, result
from dagster_project.versions import data_version
from finecap.config import EvaluationConfig, FeaturesConfig

if TYPE_CHECKING:
    from dagster_project.promotion import Outcome
    from dagster_project.tracking import ModelVersion, Tracker
    from finecap.evaluation.promotion import Scores

PAIR = "pair"
AGAIN = "champion_evaluation"
"""Artifacts of champions scored again; no asset of the graph."""


def captioner_asset(variant: str) -> str:
    """The asset that makes the captioner of a variant."""
    names = {"mle": "mle_captioner", "mle_alt_text": "mle_alt_text_captioner"}
    return names.get(variant, f"scst/{variant}")


def variant_of(champion: Artifact) -> str:
    """The variant of the captioner that a champion's export was made from."""
    (asset,) = champion.inputs
    return asset.removeprefix("scst/").removesuffix("_captioner")


def choose_champion(
    context: dg.AssetExecutionContext,
    stages: Stages,
    parts: Parts,
    evaluations: Mapping[str, Artifact],
    scoring: EvaluationConfig,
) -> dg.MaterializeResult:
    """Decide, move the alias, and hand over the export of the version that is champion now.

    Args:
        context: of the asset.
        stages: the profile's home and store.
        parts: as `evaluating` takes them, for a champion that must be scored again.
        evaluations: today's, by variant; controls left out.
        scoring: how to score again.
    """
    from dagster_project.promotion import Candidate, promote
    from finecap.evaluation.policy import check_metrics, load_policy

    tracker = stages.tracker(context)
    candidates = {
        variant: Candidate(str(version.version), scores_in(artifact, version))
        for variant, artifact in evaluations.items()
        for version in [_version(stages.store, tracker, variant, artifact)]
    }
    policy = load_policy(POLICY)
    check_metrics(policy, {m for c in candidates.values() for m in c.scores.metrics}, POLICY)

    def scores_of(version: "ModelVersion") -> "Scores | None":
        artifact = evaluation_of(stages.store, _known(version))
        return None if artifact is None else scores_in(artifact, version)

    def evaluate_again(version: "ModelVersion") -> "Scores":
        try:
            artifact = _score_again(context, stages, tracker, version, parts, scoring)
        except (ValueError, RuntimeError, KeyError) as error:
            raise dg.Failure(
                f"champion v{version.version} was trained by other code and does not run today "
                f"({error}): it cannot be compared, and is not replaced unseen. Point the alias "
                f"`champion` of {CAPTIONER} in MLflow at another version, or delete the alias"
            ) from error
        return scores_in(artifact, version)

    registry = Registry(tracker)
    pipeline = Actor(me(), f"pipeline run {context.run.run_id[:8]}", is_person=False)
    outcome = promote(registry, candidates, policy, scores_of, evaluate_again, pipeline)
    context.log.info(outcome.decision.reason)
    champion = _known(tracker.client.get_model_version(CAPTIONER, outcome.version))
    artifact, is_kept = _export(stages, tracker, champion, parts.dataset.data_version)
    return result(artifact, is_kept, _verdict(outcome, champion))


def evaluation_of(store: ArtifactStore, version: "ModelVersion") -> Artifact | None:
    """The evaluation that a version's tag names, if it is still there."""
    asset, _, found = version.tags.get("evaluation", "").partition("@")
    return store.find(asset, found) if found else None


def scores_in(evaluation: Artifact, version: "ModelVersion") -> "Scores":
    """The val scores of a version, as verdicts name it."""
    from finecap.evaluation.scores import load_scores

    name, tags = f"v{version.version}", version.tags
    return load_scores(evaluation.path, name, tags["variant"], tags["profile"])


def _known(version: "ModelVersion") -> "ModelVersion":
    """The version, if it is one that this pipeline registered.

    Raises:
        dg.Failure: it is not, so that nothing says what it was made of.
    """
    missing = [tag for tag in ("variant", "profile", "data_version") if tag not in version.tags]
    if missing:
        raise dg.Failure(
            f"champion v{version.version} of {CAPTIONER} has no tag {', '.join(missing)}: it was "
            "not registered by this pipeline, which cannot caption with it. Point the alias "
            "`champion` at another version in MLflow, or by `finecap promote`"
        )
    return version


def _version(
    store: ArtifactStore, tracker: "Tracker", variant: str, evaluation: Artifact
) -> "ModelVersion":
    """The registered version that an evaluation scored."""
    asset = captioner_asset(variant)
    made = store.get(asset, evaluation.inputs[asset])
    version = tracker.version(CAPTIONER, made.data_version, made.run_id)
    if version is None:
        raise dg.Failure(f"{asset} is not registered; materialize it again")
    return version


def _export(
    stages: Stages, tracker: "Tracker", version: "ModelVersion", data_md5: str
) -> tuple[Artifact, bool]:
    """The champion's export as an artifact, and whether it was there already."""
    details = {
        "model": version.name,
        "version": str(version.version),
        "run_id": version.run_id or "",
    }
    name = data_version({version.name: version.tags["data_version"]}, details, "1")
    found = stages.store.find("champion", name)
    if found is not None and (found.path / PAIR).is_dir():
        return found, True
    with stages.store.writing("champion", name) as folder:
        tracker.download(version, folder / PAIR)
        inputs = {captioner_asset(version.tags["variant"]): version.tags["data_version"]}
        artifact = Artifact(
            "champion", folder, name, data_md5=data_md5, inputs=inputs, config=details
        )
        return stages.store.publish(folder, artifact), False


def _score_again(
    context: dg.AssetExecutionContext,
    stages: Stages,
    tracker: "Tracker",
    version: "ModelVersion",
    parts: Parts,
    scoring: EvaluationConfig,
) -> Artifact:
    """An old version's scores on today's data by today's judge, on features of its own encoder."""
    inputs = {
        "model": f"{version.name}/{version.version}",
        **{a.asset: a.data_version for a in parts},
    }
    name = data_version(inputs, scoring.model_dump(mode="json"), "1")
    found = stages.store.find(AGAIN, name)
    if found is not None:
        return found
    from finecap.models.captioner import load_captioner
    from finecap.models.export import CAPTIONER as CAPTIONER_FOLDER
    from finecap.models.export import ENCODER
    from finecap.models.features import extract

    log = reporter(context, History())
    context.log.info(f"scoring champion v{version.version} again, on today's data")
    with stages.store.writing(AGAIN, name) as folder, tempfile.TemporaryDirectory() as scratch:
        pair, seen = Path(scratch) / "pair", Path(scratch) / "features"
        tracker.download(version, pair)
        seen.mkdir()
        records = [r for r in records_of(parts.validated_dataset.path) if r.split != "train"]
        reads = FeaturesConfig(pixel_size=load_captioner(pair / CAPTIONER_FOLDER).image_size or 0)
        extract(parts.dataset.path, records, pair / ENCODER, reads, seen, log)
        # Its own encoder stands in for today's: only the judge's word is compared.
        own = parts._replace(
            base_clip=Artifact("base_clip", pair / ENCODER, ""),
            image_features=Artifact("image_features", seen, ""),
        )
        work = evaluating(pair / CAPTIONER_FOLDER, own, scoring, stages.home.cache)
        metrics = work(folder, log)
        return stages.store.publish(
            folder, Artifact(AGAIN, folder, name, inputs=inputs, metrics=metrics)
        )


def _verdict(outcome: "Outcome", version: "ModelVersion") -> dict[str, object]:
    """The decision as the UI shows it."""
    reasons = [{"variant": v, "verdict": why} for v, why in outcome.choice.reasons.items()]
    return {
        "decision": outcome.decision.reason,
        "promoted": outcome.decision.promote,
        "champion": f"{version.name} v{version.version} ({version.tags.get('variant', '?')})",
        "alias_moved_by_hand": outcome.moved_by_hand,
        "verdicts": dg.MetadataValue.md(metadata.table(reasons)),
    }
