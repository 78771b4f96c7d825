"""From a table of captions and a matrix of vectors to a checked build of the index.

Engine-neutral: `engines` knows which one it is. A build's name is the digest of what goes into it,
so building the same again finds it finished and returns at once. Going live is a separate step
(`promote_build`), because whoever promotes has to say what they expect to replace.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from finecap.config import IndexConfig
from finecap.log import Log
from finecap.search.associations import Associations
from finecap.search.attributes import attributes_of
from finecap.search.engines import open_index
from finecap.search.files import export_digest
from finecap.search.history import readable_builds, with_history
from finecap.search.index import (
    CaptionIndex,
    IndexRefused,
    Manifest,
    ModelReference,
    Row,
    Search,
    SearchRequest,
)

_FORMAT = "4"
"""Part of a build's name: raise it when the same inputs should give another index."""
_BATCH_ROWS = 10_000
_SAME = 1e-6
"""Cosines closer than this count as one: fp32 sums differ by so much with their order."""


def build_index(
    captions: Path,
    vectors: NDArray[np.float32],
    images: Sequence[str],
    index_folder: Path,
    *,
    captioner: ModelReference,
    encoder: ModelReference,
    data_md5: str,
    data_folder: str,
    created_at: str,
    config: IndexConfig,
    log: Log,
    associations: Associations | None = None,
    variant: str = "",
) -> Manifest:
    """A finished, checked build of these captions; not live yet.

    Args:
        captions: parquet with `image`, `caption` and optionally `split`, `model_version`.
        vectors: (N, D), unit length, row i of `images[i]`.
        images: the gallery; each has exactly one caption.
        index_folder: the index, in the home folder that the models' paths are relative to.
        captioner: what wrote the captions.
        encoder: what made the vectors, and will embed queries.
        data_md5: version of the data set.
        data_folder: where `image` is relative to, for the paths that hits show.
        created_at: ISO 8601.
        config: the recall a build must show, and how many builds stay.
        log: told of progress.
        associations: what is kept beside the captions that are searched.
        variant: what the captioner was trained for.

    Raises:
        IndexRefused: captions, images and vectors do not match, or recall@10 is too low.
        FileNotFoundError: a model's export is missing.
    """
    table = read_captions(captions, images).assign(variant=variant)
    _check_shape(vectors, images)
    home = index_folder.parent
    models = [
        model.model_copy(update={"digest": export_digest(home / model.path)})
        for model in (captioner, encoder)
    ]
    order = np.argsort(np.asarray(images))
    vectors = np.ascontiguousarray(vectors[order], dtype=np.float32)  # in image order, as `table`
    manifest = Manifest(
        build_id=_build_id(table, vectors, models, data_md5, data_folder),
        captioner=models[0],
        encoder=models[1],
        data_md5=data_md5,
        dims=vectors.shape[1],
        rows=vectors.shape[0],
        created_at=created_at,
    )
    index = open_index(index_folder)
    with index.building():
        return _built(
            index,
            manifest,
            table=table,
            vectors=vectors,
            data_folder=data_folder,
            config=config,
            log=log,
            associations=associations or Associations(),
        )


def promote_build(index_folder: Path, build_id: str, *, expect: str | None) -> None:
    """Make a finished build live if `expect` is live now; see `CaptionIndex.promote`."""
    open_index(index_folder).promote(build_id, expect=expect)


def live_build(index_folder: Path) -> str | None:
    """Name of the live build: what a promotion that follows should expect."""
    return open_index(index_folder).live()


def read_captions(captions: Path, images: Sequence[str]) -> pd.DataFrame:
    """The captions' table in image order, all its columns there and its images the gallery's.

    Raises:
        IndexRefused: it has other images than the gallery, one twice, or an empty caption.
    """
    table = pd.read_parquet(captions)
    for name in ("image", "caption"):
        if name not in table.columns:
            raise IndexRefused(f"{captions}: no column {name!r}, found {list(table.columns)}")
    for name in ("split", "model_version"):
        if name not in table.columns:
            table[name] = ""
    written, gallery = list(table["image"].astype(str)), set(images)
    if len(gallery) != len(images) or len(set(written)) != len(written):
        raise IndexRefused(f"{captions}: an image comes twice, expected one caption for each")
    if set(written) != gallery:
        missing, extra = sorted(gallery - set(written)), sorted(set(written) - gallery)
        raise IndexRefused(
            f"{captions}: {len(written)} captions for a gallery of {len(images)} images; without "
            f"caption: {missing[:3]}, not in the gallery: {extra[:3]}"
        )
    empty = table["caption"].isna() | (table["caption"].astype(str).str.strip() == "")
    if empty.any():
        raise IndexRefused(f"{captions}: no caption for {table.loc[empty, 'image'].iloc[0]}")
    return table.sort_values("image", ignore_index=True)


def recall_at_10(
    search: Search,
    images: Sequence[str],
    vectors: NDArray[np.float32],
    queries: int,
    seed: int = 0,
) -> float:
    """Share of the ten truly nearest images that the index returns, mean over queries.

    The truth is a full-precision scan here. Queries are images moved by noise of their own length:
    a stored vector itself would be found by any index. An image that ties with the tenth counts.

    Args:
        search: of the build.
        images: N, the rows of `vectors`.
        vectors: (N, D), unit length.
        queries: how many.
        seed: of choice and noise.
    """
    draw = np.random.default_rng(seed)
    rows, dims = vectors.shape
    picked = vectors[draw.integers(rows, size=queries)]
    noise = draw.standard_normal((queries, dims), dtype=np.float32) / np.float32(np.sqrt(dims))
    noisy = picked + noise
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)  # (queries, D)
    wanted, row_of = min(10, rows), {image: row for row, image in enumerate(images)}
    found = 0
    for query in noisy:
        scores = vectors @ query  # (N,)
        tenth = np.sort(scores)[-wanted]
        hits = search(SearchRequest(vector=query, limit=wanted))
        found += sum(bool(scores[row_of[hit.image]] >= tenth - _SAME) for hit in hits)
    return found / (wanted * queries)


def _built(
    index: CaptionIndex,
    manifest: Manifest,
    *,
    table: pd.DataFrame,
    vectors: NDArray[np.float32],
    data_folder: str,
    config: IndexConfig,
    log: Log,
    associations: Associations,
) -> Manifest:
    """The finished build, made now unless it is there; then older ones make room."""
    finished = {build.build_id: build for build in index.builds()}
    if manifest.build_id in finished:
        log(f"index build {manifest.build_id} exists already: {manifest.rows} captions")
        return finished[manifest.build_id]
    log(f"index build {manifest.build_id}: {manifest.rows} captions, {manifest.dims} dims")
    earlier = readable_builds(index, log)
    index.create(manifest)
    for start in range(0, manifest.rows, _BATCH_ROWS):
        stop = min(start + _BATCH_ROWS, manifest.rows)
        rows = _rows(table, vectors, data_folder, range(start, stop), associations)
        told = with_history(rows, index, earlier, associations.references)
        index.upsert(manifest.build_id, told)

    def check(search: Search) -> float:
        images = list(table["image"])
        recall = recall_at_10(search, images, vectors, config.recall_queries)
        if recall < config.min_recall:
            raise IndexRefused(
                f"build {manifest.build_id}: recall@10 is {recall:.3f} over "
                f"{config.recall_queries} queries, expected at least {config.min_recall} "
                "(index.min_recall); it stays invisible"
            )
        return recall

    sealed = index.finish(manifest.build_id, check)
    log("index build finished", recall_at_10=sealed.recall_at_10 or 0.0, rows=float(sealed.rows))
    _drop_old(index, sealed.build_id, config.keep_builds, log)
    return sealed


def _drop_old(index: CaptionIndex, new: str, keep: int, log: Log) -> None:
    """Drop the oldest builds until `keep` are left; never the live one or the new one."""
    builds = [build.build_id for build in index.builds()]
    spare = [name for name in builds if name not in {new, index.live()}]
    for name in spare[: max(len(builds) - keep, 0)]:
        index.drop(name)
        log(f"index build {name} dropped, {keep} are kept")


def _rows(
    table: pd.DataFrame,
    vectors: NDArray[np.float32],
    data_folder: str,
    span: range,
    associations: Associations,
) -> list[Row]:
    """Rows of the index for those rows of the table, attributes read from the captions."""
    part = table.iloc[span.start : span.stop]
    columns = ("image", "caption", "split", "model_version", "variant")
    records = zip(*(part[name].astype(str).tolist() for name in columns), strict=True)
    return [
        Row(
            image=image,
            path=PurePath(data_folder, image).as_posix(),
            caption=caption,
            vector=vectors[row],
            attributes=attributes_of(caption),
            split=split,
            model_version=model_version,
            variant=variant,
            caption_vector=associations.caption_vectors.get(image),
            hidden=associations.hidden.get(image, ""),
        )
        for row, (image, caption, split, model_version, variant) in zip(span, records, strict=True)
    ]


def _check_shape(vectors: NDArray[np.float32], images: Sequence[str]) -> None:
    if vectors.ndim != 2 or len(vectors) != len(images) or not len(images):  # noqa: PLR2004
        raise IndexRefused(
            f"vectors have shape {vectors.shape} for {len(images)} images, expected (N, D) with a "
            "row for each image and at least one"
        )


def _build_id(
    table: pd.DataFrame,
    vectors: NDArray[np.float32],
    models: Sequence[ModelReference],
    data_md5: str,
    data_folder: str,
) -> str:
    """Digest of all that the build's answers depend on."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update("\0".join((_FORMAT, data_md5, data_folder)).encode())
    for model in models:
        digest.update(model.model_dump_json().encode())
    columns = table[["image", "caption", "split", "model_version", "variant"]].astype(str)
    digest.update(columns.to_json(orient="values").encode())
    digest.update(str(vectors.shape).encode() + vectors.tobytes())
    return digest.hexdigest()
