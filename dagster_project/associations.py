"""What an index keeps beside the captions it searches, gathered from the champion's lineage.

Artifacts of the lineage that are no longer on disk (a champion can be older than they are kept) are
named, and what they would have told is left out.
"""

from collections.abc import Iterator

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.home import Home
from finecap.data.records import Record
from finecap.log import Log
from finecap.search.associations import Associations, derived_from, references_of

NEGATIVES = "negatives.parquet"


def associations_of(
    captions: Artifact, champion: Artifact, records: list[Record], home: Home, log: Log
) -> Associations:
    """What is known of the gallery's images.

    Args:
        captions: of the gallery.
        champion: whose captions they are; it names the captioner's asset and version.
        records: validated, all of them.
        home: where the lineage lies.
        log: told what is missing.
    """
    import pandas as pd

    from finecap.search.gallery import read_gallery

    gallery = read_gallery(captions.path)
    images = [str(image) for image in gallery.table["image"]]
    lineage = dict(_lineage(ArtifactStore(home.artifacts), champion, log))
    tables = {
        name: pd.read_parquet(lineage[name].path / NEGATIVES)
        for name in ("grammar_negatives", "attribute_negatives")
        if name in lineage
    }
    trained, hidden = _seen(lineage.get("image_features"), champion, home)
    held = set(images)
    return Associations(
        references_of(
            [record for record in records if record.image in held],
            derived_from(tables.get("grammar_negatives"), tables.get("attribute_negatives")),
            trained,
        ),
        dict(zip(images, gallery.caption_vectors, strict=True)),
        hidden,
    )


def _seen(
    features: Artifact | None, champion: Artifact, home: Home
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """By image: the champion, where it was trained on it; and where its grid features lie."""
    if features is None:
        return {}, {}
    import pandas as pd

    name = f"{champion.config['model']}/{champion.config['version']}"
    rows = pd.read_parquet(features.path / "rows.parquet")
    grid = (features.path / "grid.npy").relative_to(home.path).as_posix()
    trained = {str(image): [name] for image in rows.loc[rows["split"] == "train", "image"]}
    return trained, {str(image): f"{grid}#{row}" for row, image in enumerate(rows["image"])}


def _lineage(store: ArtifactStore, artifact: Artifact, log: Log) -> Iterator[tuple[str, Artifact]]:
    """The artifacts that it was made from, and those from which they were; nearest first."""
    waiting, seen = [artifact], set[tuple[str, str]]()
    while waiting:
        for asset, version in waiting.pop(0).inputs.items():
            if (asset, version) in seen:
                continue
            seen.add((asset, version))
            found = store.find(asset, version)
            if found is not None:
                yield asset, found
                waiting.append(found)
            elif store.folder(asset, "").exists():  # a package's version is no artifact
                log(f"{asset} {version} is not on disk: the index does without what it tells")
