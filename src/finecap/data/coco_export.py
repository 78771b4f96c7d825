"""A data folder, and what a captioner said of it, as COCO's files: what other programs score.

`captions_SPLIT.json` has `images` and `annotations`, `results_SPLIT.json` the list of
`{"image_id", "caption"}` that pycocotools' `loadRes` and pycocoevalcap read. Images that came from
COCO get the ids they have there, others are counted from 1. What stays out: scores.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from finecap.data.caption_files import CaptionFileError
from finecap.data.records import SPLITS, Record, read_records, records_in

_COCO = re.compile(r"(?:COCO_(?:train|val|test)\d{4}_)?(?P<id>\d{12})")
_FOLDER = "images/"


def export_coco(folder: Path, into: Path, captions: Mapping[str, str] | None) -> list[Path]:
    """Write the files of each split that has images; their paths.

    Args:
        folder: the data folder.
        into: folder to write into; made when missing.
        captions: one by image, which is named as in the records, or by file name with or
            without its suffix; None writes no results.

    Raises:
        FileNotFoundError: there is no such data folder.
        RecordError: a line of it is no record.
        CaptionFileError: a caption of an image that it has not.
    """
    records = read_records(records_in(folder))
    ids = _ids([record.image for record in records])
    said = _by_image(records, captions or {})
    into.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for split in SPLITS:
        rows = [record for record in records if record.split == split]
        if rows:
            written.append(_write(into / f"captions_{split}.json", _annotations(rows, ids)))
        results = [
            {"image_id": ids[row.image], "caption": said[row.image]}
            for row in rows
            if row.image in said
        ]
        if results:
            written.append(_write(into / f"results_{split}.json", results))
    return written


def _ids(images: Sequence[str]) -> dict[str, int]:
    """The id of each image: COCO's own where all have one that no other has, else counted."""
    matches = [_COCO.fullmatch(PurePosixPath(image).stem) for image in images]
    own = [int(match["id"]) for match in matches if match]
    if len(own) == len(images) == len(set(own)):
        return dict(zip(images, own, strict=True))
    return {image: number for number, image in enumerate(images, 1)}


def _by_image(records: Sequence[Record], captions: Mapping[str, str]) -> dict[str, str]:
    """The captions by the records' own names.

    Raises:
        CaptionFileError: an image is unknown, or several have that name.
    """
    names: dict[str, list[str]] = {}
    for record in records:
        path = PurePosixPath(record.image)
        for name in {record.image, record.image.removeprefix(_FOLDER), path.name, path.stem}:
            names.setdefault(name, []).append(record.image)
    found: dict[str, str] = {}
    for name, caption in captions.items():
        match names.get(name, []):
            case [image]:
                found[image] = caption
            case []:
                raise CaptionFileError(f"a caption of {name}, which is no image of the data folder")
            case several:
                raise CaptionFileError(
                    f"a caption of {name}, which may be {' or '.join(several[:3])}; name it whole"
                )
    return found


def _annotations(rows: Sequence[Record], ids: Mapping[str, int]) -> dict[str, object]:
    pairs = [(row, caption) for row in rows for caption in row.captions]
    return {
        "info": {"description": "exported by finecap"},
        "licenses": [],
        "type": "captions",
        "images": [
            {"id": ids[row.image], "file_name": row.image.removeprefix(_FOLDER)} for row in rows
        ],
        "annotations": [
            {"id": number, "image_id": ids[row.image], "caption": caption}
            for number, (row, caption) in enumerate(pairs, 1)
        ],
    }


def _write(path: Path, content: object) -> Path:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return path
