"""From captions to a live index: the library's build and promotion, told what they stand for.

The build names its models by their exports below the home folder, so that serving needs nothing
else. Which build is live is read just before the swap, and the swap fails when another build got
there first.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.artifacts import Artifact
from dagster_project.champion import PAIR, variant_of
from dagster_project.home import Home
from finecap.config import IndexConfig
from finecap.log import Log

if TYPE_CHECKING:
    from finecap.search.associations import Associations

MANIFEST = "manifest.json"


def publish_build(
    captions: Artifact,
    champion: Artifact,
    data_md5: str,
    data_folder: str,
    home: Home,
    config: IndexConfig,
    destination: Path,
    log: Log,
    associations: "Associations",
) -> dict[str, float]:
    """Build the index of `captions` and make it live; its manifest is kept in `destination`.

    `associations` are kept beside the captions.

    Raises:
        PromoteConflict: another build went live meanwhile.
        IndexRefused: the build did not pass its checks; what was live stays live.
    """
    from finecap.models.export import ENCODER
    from finecap.search.build import build_index, live_build, promote_build
    from finecap.search.gallery import CAPTIONS, read_gallery
    from finecap.search.index import ModelReference

    def reference(folder: Path) -> ModelReference:
        path = folder.relative_to(home.path).as_posix()
        named = champion.config
        return ModelReference(
            name=named["model"], version=named["version"], path=path, run_id=named["run_id"]
        )

    gallery = read_gallery(captions.path)
    before = live_build(home.index)
    manifest = build_index(
        captions.path / CAPTIONS,
        gallery.vectors,
        list(gallery.table["image"]),
        home.index,
        # A captioner is loaded with the encoder whose grid it reads: the pair, not half of it.
        captioner=reference(champion.path / PAIR),
        encoder=reference(champion.path / PAIR / ENCODER),
        data_md5=data_md5,
        data_folder=data_folder,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config,
        log=log,
        associations=associations,
        variant=variant_of(champion),
    )
    if before != manifest.build_id:
        promote_build(home.index, manifest.build_id, expect=before)
    (destination / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return {"rows": float(manifest.rows), "recall_at_10": manifest.recall_at_10 or 0.0}


def is_live(artifact: Artifact, index: Path) -> bool:
    """Whether the build that an artifact stands for is the one that is searched."""
    from finecap.search.build import live_build

    build = json.loads((artifact.path / MANIFEST).read_text())["build_id"]
    return live_build(index) == build


def searched_version(home: Home) -> str:
    """The version whose captions the live index holds, "" where none is live."""
    from finecap.search.index import NoSuchBuild
    from finecap.search.searcher import load_live_manifest

    try:
        return load_live_manifest(home.path).captioner.version
    except NoSuchBuild:
        return ""


def gallery_md5s(validated: Artifact) -> dict[str, str]:
    """MD5 of each image's bytes, as validation found them."""
    import pandas as pd

    table = pd.read_parquet(validated.path / "splits.parquet")
    return dict(zip(table["image"], table["md5"], strict=True))
