"""Group `search`: the champion's captions of the gallery, and the index built from them."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from dagster_project import shown
from dagster_project.artifacts import Artifact
from dagster_project.champion import PAIR
from dagster_project.indexing import gallery_md5s, is_live, publish_build
from dagster_project.resources import materialized_version
from dagster_project.run_config import CaptionsRun, IndexRun, settings
from dagster_project.stages import Stages, stage
from finecap.config import CaptionsConfig, IndexConfig, Profile
from finecap.log import Log

GROUP = "search"
WEEKLY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=8), fail_window=timedelta(days=15)
)
"""For `weekly_retrain`: a warning when one week was missed by a day, an error at the second."""


def captions(profile: Profile) -> dg.AssetsDefinition:
    """The captions' table, incremental."""

    @stage(
        CaptionsRun,
        profile.captions,
        group=GROUP,
        modules=("finecap.search.gallery",),
        priority=2,
        kinds=("pytorch",),
    )
    def captions(
        context: dg.AssetExecutionContext,
        config: CaptionsRun,
        dataset: Artifact,
        validated_dataset: Artifact,
        champion: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """The champion's captions and vectors of the gallery; unchanged images keep theirs."""
        from finecap.search.gallery import caption_gallery

        last = materialized_version(context.instance, context.asset_key)
        before = stages.store.find("captions", last) if last else None

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            records, md5s = (
                shown.records_of(validated_dataset.path),
                gallery_md5s(validated_dataset),
            )
            return caption_gallery(
                champion.path / PAIR, dataset.path, records, md5s,
                settings(config, CaptionsConfig), folder, log,
                model_version=champion.data_version, previous=before.path if before else None,
            )  # fmt: skip

        details = partial(shown.gallery, images=dataset.path)
        inputs = [dataset, validated_dataset, champion]
        return stages.run(context, config, inputs, work, details=details)

    return captions


def caption_index(profile: Profile) -> dg.AssetsDefinition:
    """The searchable build."""

    @stage(
        IndexRun,
        profile.index,
        group=GROUP,
        modules=("finecap.search.build", "finecap.search.associations"),
        priority=1,
        kinds=("lancedb",),
        freshness_policy=WEEKLY,
    )
    def caption_index(
        context: dg.AssetExecutionContext,
        config: IndexRun,
        dataset: Artifact,
        captions: Artifact,
        champion: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """A new immutable build; it goes live by compare-and-swap after its checks."""

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            from dagster_project.associations import associations_of

            data_folder = _relative(dataset.path, Path(stages.root))
            chosen = settings(config, IndexConfig)
            records = shown.records_of(stages.parent(captions, "validated_dataset").path)
            return publish_build(
                captions,
                champion,
                dataset.data_version,
                data_folder,
                stages.home,
                chosen,
                folder,
                log,
                associations_of(captions, champion, records, stages.home, log),
            )

        inputs = [dataset, captions, champion]
        return stages.run(
            context, config, inputs, work, is_valid=partial(is_live, index=stages.home.index)
        )

    return caption_index


def _relative(folder: Path, root: Path) -> str:
    """The folder as a path from the repository, where it lies in it."""
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)
