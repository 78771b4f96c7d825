"""The champion's captions and vectors of the whole gallery: what an index is built from.

Incremental: an image that the previous table captioned by the same model in the same way, and whose
bytes are the same, keeps its row; the model sees new or changed images alone. Which splits make the
gallery is configuration. Building the index from the table is `build`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from finecap.config import CaptionsConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.models.captions import Beams
from finecap.models.export import CaptioningModel, load_pair
from finecap.models.linear import packed_once

CAPTIONS = "captions.parquet"
VECTORS = "vectors.npy"
CAPTION_VECTORS = "caption_vectors.npy"
_KEYS = ["image", "md5", "caption", "model_version", "decoding"]


@dataclass(frozen=True)
class Gallery:
    """N captioned images, row by row."""

    table: pd.DataFrame  # image, split, md5, caption, model_version, decoding
    vectors: NDArray[np.float32]  # (N, D), unit length: of the images
    caption_vectors: NDArray[np.float32]  # (N, D), unit length: of the captions as text


class _Captioned(NamedTuple):
    """One row."""

    caption: str
    vector: NDArray[np.float32]  # (D,)
    caption_vector: NDArray[np.float32]  # (D,)


def caption_gallery(
    pair: Path,
    folder: Path,
    records: Sequence[Record],
    md5s: Mapping[str, str],
    config: CaptionsConfig,
    destination: Path,
    log: Log,
    *,
    model_version: str,
    previous: Path | None = None,
) -> dict[str, float]:
    """Write captions and vectors of the gallery into `destination`.

    Args:
        pair: folder of an exported captioner and its encoder.
        folder: data folder that records' image paths are relative to.
        records: validated records; those of `config.splits` are the gallery.
        md5s: of each image's bytes.
        config: splits, batch size, how captions are decoded.
        destination: existing folder.
        log: told of progress.
        model_version: names the pair; rows of another version are captioned anew.
        previous: folder of an earlier result, whose rows are kept where nothing changed.

    Returns:
        `images`, and of those `captioned` now and `kept`.

    Raises:
        ValueError: no image is in the gallery.
    """
    gallery = [r for r in records if r.split in config.splits]
    if not gallery:
        raise ValueError(f"no image is in splits {config.splits}: the gallery would be empty")
    if config.threads:
        torch.set_num_threads(config.threads)
    decoding = f"max_tokens={config.max_tokens}, {_beams(config)}"  # another one captions anew
    kept = _kept(previous, gallery, md5s, (model_version, decoding))
    rows = dict(kept)
    missing = [r for r in gallery if r.image not in rows]
    model = load_pair(pair) if missing else None
    with packed_once():
        for start in range(0, len(missing), config.batch_size):
            batch = missing[start : start + config.batch_size]
            assert model is not None  # noqa: S101  there is something missing
            rows |= _captioned(model, folder, batch, config)
            log(f"captioned {min(start + config.batch_size, len(missing))} of {len(missing)}")
    table = pd.DataFrame(
        {
            "image": [r.image for r in gallery],
            "split": [r.split for r in gallery],
            "md5": [md5s[r.image] for r in gallery],
            "caption": [rows[r.image].caption for r in gallery],
            "model_version": model_version,
            "decoding": decoding,
        }
    )
    vectors = np.stack([rows[r.image].vector for r in gallery])
    caption_vectors = np.stack([rows[r.image].caption_vector for r in gallery])
    _write(Gallery(table, vectors, caption_vectors), destination)
    counts = {"images": len(gallery), "captioned": len(missing), "kept": len(kept)}
    return {name: float(count) for name, count in counts.items()}


def read_gallery(folder: Path) -> Gallery:
    """The gallery written into `folder`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: captions and vectors do not match.
    """
    table = pd.read_parquet(folder / CAPTIONS)
    vectors: NDArray[np.float32] = np.load(folder / VECTORS)
    caption_vectors: NDArray[np.float32] = np.load(folder / CAPTION_VECTORS)
    if not len(table) == len(vectors) == len(caption_vectors):
        raise ValueError(
            f"{folder}: {len(table)} captions but {len(vectors)} vectors of images and "
            f"{len(caption_vectors)} of captions"
        )
    return Gallery(table, vectors, caption_vectors)


def _captioned(
    model: CaptioningModel, folder: Path, batch: Sequence[Record], config: CaptionsConfig
) -> dict[str, _Captioned]:
    """Caption and both vectors of each image of the batch."""
    paths = [folder / r.image for r in batch]
    captions = model.caption_images(paths, config.max_tokens, config.batch_size, _beams(config))
    vectors = model.encoder.encode_images(paths, config.batch_size).numpy()  # (B, D)
    caption_vectors = model.encoder.encode_texts(captions).numpy()  # (B, D)
    made = zip(batch, captions, vectors, caption_vectors, strict=True)
    return {
        record.image: _Captioned(caption, vector, caption_vector)
        for record, caption, vector, caption_vector in made
    }


def _beams(config: CaptionsConfig) -> Beams:
    """How captions are found."""
    return Beams(config.beams, config.length_penalty, config.no_repeat_ngram)


def _kept(
    previous: Path | None,
    gallery: Sequence[Record],
    md5s: Mapping[str, str],
    made_by: tuple[str, str],
) -> dict[str, _Captioned]:
    """Rows of the earlier result that still hold; `made_by` is the model's version and decoding."""
    if previous is None or not (previous / CAPTION_VECTORS).is_file():  # of an older form
        return {}
    old = read_gallery(previous)
    if not set(_KEYS) <= set(old.table.columns):  # a table that does not say how it was decoded
        return {}
    wanted = {r.image for r in gallery}
    rows = zip(*(old.table[key].astype(str) for key in _KEYS), strict=True)
    return {
        image: _Captioned(caption, old.vectors[row], old.caption_vectors[row])
        for row, (image, md5, caption, *maker) in enumerate(rows)
        if image in wanted and md5s.get(image) == md5 and tuple(maker) == made_by
    }


def _write(gallery: Gallery, destination: Path) -> None:
    """All files, each whole or not at all."""
    partial = destination / f"{CAPTIONS}.partial"
    gallery.table.to_parquet(partial, index=False)
    partial.replace(destination / CAPTIONS)
    matrices = {VECTORS: gallery.vectors, CAPTION_VECTORS: gallery.caption_vectors}
    for name, matrix in matrices.items():
        partial = destination / f"{name}.partial.npy"
        np.save(partial, matrix)
        partial.replace(destination / name)
