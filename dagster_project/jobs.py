"""The jobs: the whole pipeline, and what follows from moving the champion's alias by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

RETRAIN = "retrain"
STUDY = "study"
REINDEX = "reindex"


PUBLISHED = dg.AssetSelection.assets("leaderboard", "champion", "captions", "caption_index")


def everything() -> dg.AssetSelection:
    """What the published assets need, and they: all but the variants trained only by hand."""
    return PUBLISHED.upstream()


def studied() -> dg.AssetSelection:
    """What is trained and scored, the variants trained only by hand included."""
    return dg.AssetSelection.all() - PUBLISHED


def selected(
    assets: Sequence[dg.AssetsDefinition], selection: dg.AssetSelection
) -> list[dg.AssetsDefinition]:
    """Those of `assets` that are in the selection."""
    keys = selection.resolve(assets)
    return [asset for asset in assets if asset.key in keys]


def retrain() -> "UnresolvedAssetJobDefinition":
    """Data to index, in order; what is already made at its data version is reused."""
    return dg.define_asset_job(
        RETRAIN,
        selection=everything(),
        description="Validate, train, evaluate, promote or keep, caption and index.",
    )


def study() -> "UnresolvedAssetJobDefinition":
    """Data to scores, for several seeds: no alias moves, nothing is published or indexed."""
    return dg.define_asset_job(
        STUDY,
        selection=studied(),
        description="Train and evaluate every variant; nothing goes live.",
    )


def reindex() -> "UnresolvedAssetJobDefinition":
    """The champion that the alias names, its captions, its index."""
    return dg.define_asset_job(
        REINDEX,
        selection=dg.AssetSelection.assets("champion", "captions", "caption_index"),
        description="Caption and index with whatever version the champion alias names.",
    )
