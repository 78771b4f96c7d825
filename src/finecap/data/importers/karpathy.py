"""Karpathy's splits of COCO, Flickr8k and Flickr30k (Karpathy & Fei-Fei, CVPR 2015).

`dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json`: `images`, each with
`filename`, `split`, `sentences` (`raw`, `tokens`), and, for COCO, the folder `filepath`. `restval`
is the part of COCO's val that is trained on. Remote sensing took the form over
(`dataset_rsicd.json`; UCM's and Sydney's `dataset.json`).

What stays out: the photos' own annotation files.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from finecap.config import ImportConfig
from finecap.data.importers.entry import (
    DatasetImportError,
    Entry,
    Fault,
    Source,
    objects,
    split_named,
)
from finecap.data.importers.photos import Photos, photos_of
from finecap.data.json_files import read_json


def open_karpathy(source: Path, config: ImportConfig) -> Source:
    """A Karpathy split in `source`: the JSON itself, or a folder with one and the photos.

    Raises:
        FileNotFoundError: no such file, or no folder of photos.
        DatasetImportError: several such files, or one that is broken.
    """
    path = _file(source)
    images = _images(path)
    root = source if source.is_dir() else path.parent
    photos = photos_of(config, root)

    def entries() -> Iterator[Entry | Fault]:
        for place, image in enumerate(images, 1):
            yield _entry(path, place, image, photos)

    return Source([path], photos.digest, entries, len(images))


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("dataset*.json")) or sorted(source.glob("*/dataset*.json"))
    if not found:
        raise FileNotFoundError(
            f"{source} has no dataset_*.json, expected one of Karpathy's, such as dataset_coco.json"
        )
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(source)) for path in found)
        raise DatasetImportError(f"{source} has several: {names}; name one file as the source")
    return found[0]


def _images(path: Path) -> list[dict[str, object]]:
    content = read_json(path, DatasetImportError)
    row = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    images = objects(row.get("images"))
    if not images or "sentences" not in images[0]:
        raise DatasetImportError(
            f'{path}: expected {{"images": [{{"filename", "split", "sentences"}}]}}, as in '
            "Karpathy's splits"
        )
    return images


def _entry(path: Path, place: int, image: Mapping[str, object], photos: Photos) -> Entry | Fault:
    name, folder, raw = image.get("filename"), image.get("filepath", ""), image.get("split")
    if not isinstance(name, str) or not isinstance(folder, str) or not isinstance(raw, str):
        reason = f"expected texts `filename`, `split` and `filepath`: {dict(image)}"[:200]
        return Fault(str(name or ""), path.name, place, reason)
    split = split_named(raw)
    if split is None:
        return Fault(name, path.name, place, f"unknown split {raw!r}")
    said = image.get("sentences")
    sentences = cast("list[object]", said) if isinstance(said, list) else []
    captions = [_sentence(sentence) for sentence in sentences]
    return photos.entry(name, captions, split, file=path.name, line=place, folder=folder)


def _sentence(sentence: object) -> str:
    """As it was written; of a file that has only tokens, these."""
    if isinstance(sentence, str):
        return sentence
    row = cast("dict[str, object]", sentence) if isinstance(sentence, dict) else {}
    raw, tokens = row.get("raw"), row.get("tokens")
    if isinstance(raw, str):
        return raw
    return " ".join(map(str, cast("list[object]", tokens))) if isinstance(tokens, list) else ""
