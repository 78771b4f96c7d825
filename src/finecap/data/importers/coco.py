"""COCO captions (Chen et al. 2015, "Microsoft COCO Captions"), and others in its form.

A file has `images` (`id`, `file_name`) and `annotations` (`image_id`, `caption`), mixed as they
were collected; its name says the split (`captions_train2014.json`). `instances_*.json` and the like
lie beside it and have no captions; the test sets' captions were never handed out. Captions of
VizWiz that its authors rejected are left out. What stays out: Karpathy's JSON of the same photos
(`karpathy`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from finecap.config import ImportConfig
from finecap.data.importers.entry import (
    BAD,
    LEFT_OUT,
    NOTE,
    DatasetImportError,
    Entry,
    Fault,
    Source,
    objects,
    split_named,
    tidy,
)
from finecap.data.importers.photos import Photos, is_import, photos_of
from finecap.data.json_files import read_json

_WORDS = re.compile(r"[a-z]+|\d+")
_YEAR = re.compile(r"(20\d\d)\.json$")
_NO_CAPTIONS = re.compile(r"^(instances|person_keypoints|stuff|panoptic|image_info)_")
_LOOKED_FOR = 100  # photos of a file
_REJECTED = ("is_rejected", "is_precanned")  # VizWiz: the caption says that there is nothing to see


def open_coco(source: Path, config: ImportConfig) -> Source:
    """COCO captions in `source`: one file, or a folder of such files with their photos.

    Raises:
        FileNotFoundError: no annotation file, or no folder of photos.
        DatasetImportError: files of several years, or one that is broken.
    """
    files = _files(source)
    photos = photos_of(config, _root(source))
    files = _one_year(files, photos)
    contents = {path: _content(path) for path in files}
    contents = {path: content for path, content in contents.items() if content}
    others = [path.name for path in files if path not in contents]
    if not contents:
        raise DatasetImportError(
            f"{', '.join(path.name for path in files)}: no caption, expected "
            '{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}'
        )
    _refuse_half(contents, photos)
    total = sum(len(objects(content["images"])) for content in contents.values())

    def entries() -> Iterator[Entry | Fault]:
        for path, content in contents.items():
            yield from _entries(path, content, photos)

    said = (f"left out, without captions: {', '.join(others)}",) if others else ()
    return Source([*contents], photos.digest, entries, total, said)


def split_of(path: Path) -> str | None:
    """The split that a file's name says, None where it says none.

    >>> split_of(Path("captions_val2017.json")), split_of(Path("captions.json"))
    ('val', None)
    """
    words = _WORDS.findall(path.stem.lower())
    return next((split for word in words if (split := split_named(word))), None)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(f"{source} does not exist, expected COCO's annotations and photos")
    for pattern in ("annotations/", "", "*/annotations/", "*/", "*/*/annotations/"):
        if found := sorted(source.glob(f"{pattern}captions_*.json")) or sorted(
            path for path in source.glob(f"{pattern}*.json") if not _NO_CAPTIONS.match(path.name)
        ):
            return [path for path in found if not is_import(path, source)]
    raise FileNotFoundError(
        f"{source / 'annotations'} has no captions_*.json, expected COCO's caption annotations "
        "there or in the source folder itself"
    )


def _root(source: Path) -> Path:
    """Where the photos are looked for: in the source, or beside its annotations."""
    folder = source if source.is_dir() else source.parent
    has_photos = source.is_dir() and len(Photos(source)) > 0
    return folder.parent if folder.absolute().name == "annotations" and not has_photos else folder


def _one_year(files: Sequence[Path], photos: Photos) -> list[Path]:
    """The files of the year whose photos are there: both years are of the same pictures."""
    by_year: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        match = _YEAR.search(path.name)
        by_year[match[1] if match else ""].append(path)
    if len(by_year) == 1:
        return list(files)
    folders = {part for path in photos for part in path.split("/")[:-1]}
    here = [year for year in by_year if year and any(name.endswith(year) for name in folders)]
    if len(here) == 1:
        return by_year[here[0]]
    raise DatasetImportError(
        f"annotations of several years: {', '.join(path.name for path in files)}; these are the "
        "same pictures under other names. Name one file as the source, or move the others away"
    )


def _content(path: Path) -> dict[str, object]:
    """The file's content; empty where it has no captions."""
    content = read_json(path, DatasetImportError)
    row = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    has_captions = any("caption" in annotation for annotation in objects(row.get("annotations")))
    return row if has_captions and objects(row.get("images")) else {}


def _refuse_half(contents: Mapping[Path, dict[str, object]], photos: Photos) -> None:
    """Stop where one file has photos and another has none: a split was not downloaded, or unpacked.

    Raises:
        DatasetImportError: names both, and the file to import alone.
    """
    bare = [path for path, content in contents.items() if not _has_photo(content, photos)]
    if not bare or len(bare) == len(contents):
        return
    other = next(path for path in contents if path not in bare)
    raise DatasetImportError(
        f"{bare[0].name}: none of its first {_LOOKED_FOR} photos is in {photos.folder}, though "
        f"those of {other.name} are. Put them there, or import the other alone: `--source {other}`"
    )


def _has_photo(content: Mapping[str, object], photos: Photos) -> bool:
    names = [image.get("file_name") for image in objects(content["images"])[:_LOOKED_FOR]]
    return any(photos.has(name) for name in names if isinstance(name, str))


def _entries(path: Path, content: dict[str, object], photos: Photos) -> Iterator[Entry | Fault]:
    """The images of one file, each with its captions; faults of captions before them."""
    captions: dict[object, list[str]] = defaultdict(list)
    rejected: set[object] = set()
    images = objects(content["images"])
    ids = {_key(image.get("id")) for image in images}
    for place, row in enumerate(objects(content["annotations"]), 1):
        image_id, caption = _key(row.get("image_id")), row.get("caption")
        if any(row.get(flag) is True for flag in _REJECTED):
            rejected.add(image_id)
        elif image_id not in ids:
            reason = f"annotation of image {row.get('image_id')!r}, which the file does not list"
            yield Fault("", path.name, place, reason)
        elif not (said := _said(caption)):
            reason = f"annotation without words: {caption!r}"
            yield Fault(str(row.get("image_id")), path.name, place, reason)
        else:
            captions[image_id] += said
    seen: dict[object, object] = {}
    folder = path.stem.rpartition("_")[2]  # captions_train2014.json, train2014/
    for place, image in enumerate(images, 1):
        key = _key(image.get("id"))
        name = image.get("file_name")
        if not isinstance(name, str) or not name.strip() or key in seen:
            reason = "image listed twice" if key in seen else f"image without file_name: {image}"
            kind = NOTE if seen.get(key) == name else BAD
            yield Fault(str(name or ""), path.name, place, reason[:200], kind)
            continue
        seen[key] = name
        if not captions[key]:
            kind = LEFT_OUT if key in rejected else BAD
            why = "all captions were rejected by the authors" if key in rejected else "no caption"
            yield Fault(name, path.name, place, why, kind)
            continue
        yield photos.entry(
            name, captions[key], split_of(path), file=path.name, line=place, folder=folder
        )


def _said(caption: object) -> list[str]:
    """The captions of an annotation, one or a list; [] where none has words."""
    texts = cast("list[object]", caption) if isinstance(caption, list) else [caption]
    return [text for text in texts if isinstance(text, str) and tidy(text)]


def _key(image_id: object) -> object:
    """An id as it is compared: 9, 9.0 (as pandas writes it) and "9" are one image."""
    if isinstance(image_id, float) and image_id.is_integer():
        return str(int(image_id))
    return str(image_id) if isinstance(image_id, int | float | str) else None
