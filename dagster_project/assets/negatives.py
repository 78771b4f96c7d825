"""Group `negatives`: seeded tables of wrong captions, for the grammar head and the encoder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project import shown
from dagster_project.artifacts import Artifact
from dagster_project.run_config import (
    AttributeNegativesRun,
    GrammarNegativesRun,
    SpoiltNegativesRun,
    settings,
)
from dagster_project.stages import Stages, Work, stage
from dagster_project.versions import package_folder
from finecap.config import (
    AttributeNegativesConfig,
    GrammarNegativesConfig,
    Profile,
    SpoiltNegativesConfig,
)
from finecap.log import Log

if TYPE_CHECKING:
    import pandas as pd

GROUP = "negatives"
TABLE = "negatives.parquet"
SPOILT, SPOILER = "clip_s_grammar_spoilt", "clip_s"
"""The variant whose negatives come from a captioner, and that captioner's reward."""


def grammar_negatives(profile: Profile) -> dg.AssetsDefinition:
    """Corruptions that are no sentence any more."""

    @stage(
        GrammarNegativesRun,
        profile.grammar_negatives,
        group=GROUP,
        modules=("finecap.negatives.grammar",),
        files=lexicons(),
        priority=15,
        kinds=("pandas",),
    )
    def grammar_negatives(
        context: dg.AssetExecutionContext,
        config: GrammarNegativesRun,
        validated_dataset: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """Captions beside ungrammatical corruptions: repeat, remove, insert, swap, shuffle, cut."""
        from finecap.negatives.grammar import build_table

        chosen = settings(config, GrammarNegativesConfig)
        work = _work(lambda: build_table(shown.records_of(validated_dataset.path), chosen))
        return stages.run(context, config, [validated_dataset], work, details=shown.negatives)

    return grammar_negatives


def attribute_negatives(profile: Profile) -> dg.AssetsDefinition:
    """Sentences that hold less, or other, attributes."""

    @stage(
        AttributeNegativesRun,
        profile.attribute_negatives,
        group=GROUP,
        modules=("finecap.negatives.attributes",),
        files=lexicons(),
        priority=15,
        kinds=("pandas",),
    )
    def attribute_negatives(
        context: dg.AssetExecutionContext,
        config: AttributeNegativesRun,
        validated_dataset: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """Captions beside the same without, or with another value of, one attribute."""
        from finecap.negatives.attributes import build_table

        chosen = settings(config, AttributeNegativesConfig)
        work = _work(lambda: build_table(shown.records_of(validated_dataset.path), chosen))
        return stages.run(context, config, [validated_dataset], work, details=shown.negatives)

    return attribute_negatives


def spoilt_negatives(profile: Profile) -> dg.AssetsDefinition:
    """What the captioner says that the bare CLIP reward has spoilt.

    Raises:
        ValueError: the profile has no such captioner.
    """
    if SPOILER not in profile.scst:
        raise ValueError(
            f"profile {profile.name}: variant `{SPOILT}` learns from what `{SPOILER}` says; give "
            f"`scst` a `{SPOILER}` too, or leave `{SPOILT}` out"
        )

    @stage(
        SpoiltNegativesRun,
        profile.spoilt_negatives,
        group=GROUP,
        modules=("finecap.training.spoilt",),
        files=lexicons(),
        kinds=("pytorch", "pandas"),
        ins={"captioner": dg.AssetIn(key=["scst", SPOILER])},
    )
    def spoilt_negatives(
        context: dg.AssetExecutionContext,
        config: SpoiltNegativesRun,
        validated_dataset: Artifact,
        image_features: Artifact,
        captioner: Artifact,
        stages: Stages,
    ) -> dg.MaterializeResult:
        """Captions beside what the captioner of the bare CLIP reward says of the same image."""
        from finecap.training.spoilt import harvest

        chosen = settings(config, SpoiltNegativesConfig)

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            records = shown.records_of(validated_dataset.path)
            table = harvest(captioner.path, image_features.path, records, chosen, log)
            table.to_parquet(folder / TABLE, index=False)
            return {"rows": float(len(table))}

        inputs = [validated_dataset, image_features, captioner]
        return stages.run(context, config, inputs, work, details=shown.negatives)

    return spoilt_negatives


def _work(build: Callable[[], "pd.DataFrame"]) -> Work:
    """Write the table that `build` returns."""

    def work(folder: Path, log: Log) -> Mapping[str, float]:
        table = build()
        table.to_parquet(folder / TABLE, index=False)
        log(f"{len(table)} corruptions")
        return {"rows": float(len(table))}

    return work


def lexicons() -> list[Path]:
    """Word lists that the corruptions read."""
    return sorted((package_folder() / "negatives" / "lexicon").glob("*.txt"))
