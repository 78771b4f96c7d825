"""Flickr8k (Hodosh, Young, Hockenmaier, JAIR 2013) as it is handed out: token and split files.

`Flickr8k.token.txt` has `IMAGE.jpg#k<TAB>caption` a line, `Flickr_8k.{train,dev,test}Images.txt`
the image names of the official splits. Captions are kept as written, blanks tidied. What stays out:
Karpathy's JSON of the same photos (another kind).

The original is not clean: it has captions for photos that are not handed out, and photos in no
split. Such photos are left out, each with its reason in `import-report.csv`.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from finecap.data.importers.target import (
    DatasetImportError,
    Imported,
    ImportReport,
    earlier_import,
    write_import,
)
from finecap.data.records import Problem, Record
from finecap.log import Log

KIND = "flickr8k"
TOKENS = "Flickr8k.token.txt"
SPLIT_FILES = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_TOKEN = re.compile(r"(?P<image>[^#\t]+)#\d+\t(?P<caption>.*)")


def import_flickr8k(source: Path, into: Path, log: Log) -> ImportReport:
    """Bring Flickr8k from `source` into the data folder `into`; its dev split becomes `val`.

    The same source again changes nothing and returns at once; another one replaces an earlier
    import whole.

    Args:
        source: holds the token file, the three split files and `images/`.
        into: the data folder to write: `images/`, `captions.jsonl`, `import-report.csv`.
        log: receives progress.

    Raises:
        FileNotFoundError: a file of the source is missing; names it.
        DatasetImportError: a file of it is broken, or `into` holds something else.
    """
    _check_source(source)
    fingerprint = _fingerprint(source)
    if earlier := earlier_import(into, KIND, fingerprint):
        log(f"{into} holds this import already: {earlier.images} images")
        return earlier
    imported = _read(source)
    if imported.problems:
        log(f"left out {len(imported.problems)} images or lines, see import-report.csv")
    return write_import(into, KIND, fingerprint, imported, log)


def _check_source(source: Path) -> None:
    for name in (TOKENS, *SPLIT_FILES.values()):
        if not (source / name).is_file():
            raise FileNotFoundError(
                f"{source / name} does not exist, expected {TOKENS}, "
                f"{', '.join(SPLIT_FILES.values())} and images/ in the source folder"
            )
    if not (source / "images").is_dir():
        raise FileNotFoundError(f"{source / 'images'} does not exist, expected the photos there")


def _fingerprint(source: Path) -> str:
    """md5 over the text files and the photos' names and sizes."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in (TOKENS, *SPLIT_FILES.values()):
        digest.update((source / name).read_bytes())
    for image in sorted((source / "images").iterdir()):
        digest.update(f"\n{image.name}\t{image.stat().st_size}".encode())
    return digest.hexdigest()


def _read(source: Path) -> Imported:
    """Records in the order of train, val, test, each split in its file's order."""
    captions, problems = _captions(source / TOKENS)
    photos = {path.name: path for path in (source / "images").iterdir() if path.is_file()}
    splits, split_problems = _splits(source)
    problems += split_problems
    records: list[Record] = []
    files: dict[str, Path] = {}
    for name, (line, split) in splits.items():
        _, sentences = captions.get(name, (0, []))
        if name not in photos or not sentences:
            what = "no such photo in images/" if name not in photos else f"no caption in {TOKENS}"
            problems.append(Problem(line, name, f"{SPLIT_FILES[split]}: {what}"))
            continue
        record = Record(f"images/{name}", split, tuple(sentences))
        records.append(record)
        files[record.image] = photos[name]
    for name, (line, _) in captions.items():
        if name not in splits:
            what = "in no split" if name in photos else "no such photo in images/, and in no split"
            problems.append(Problem(line, name, f"{TOKENS}: {what}"))
    return Imported(records, files, problems)


def _captions(path: Path) -> tuple[dict[str, tuple[int, list[str]]], list[Problem]]:
    """By image name: the first line that names it and its captions; and the lines that are none."""
    captions: dict[str, tuple[int, list[str]]] = defaultdict(lambda: (0, []))
    problems: list[Problem] = []
    for number, line in _lines(path):
        match = _TOKEN.fullmatch(line)
        if not match:
            reason = f"{path.name}: expected IMAGE#NUMBER<TAB>caption, came {line[:60]!r}"
            problems.append(Problem(number, "", reason))
            continue
        image, caption = match["image"], " ".join(match["caption"].split())
        if not caption:
            problems.append(Problem(number, image, f"{path.name}: the caption is empty"))
            continue
        first, sentences = captions[image]
        captions[image] = (first or number, sentences)
        sentences.append(caption)
    return dict(captions), problems


def _splits(source: Path) -> tuple[dict[str, tuple[int, str]], list[Problem]]:
    """By image name: its line in the split file, and its split; a photo in two is left to test."""
    splits: dict[str, tuple[int, str]] = {}
    problems: list[Problem] = []
    for split in ("test", "val", "train"):
        for line, name in _lines(source / SPLIT_FILES[split]):
            if name in splits:
                reason = f"{SPLIT_FILES[split]}: already in {splits[name][1]}, kept there alone"
                problems.append(Problem(line, name, reason))
            else:
                splits[name] = (line, split)
    order = {split: number for number, split in enumerate(SPLIT_FILES)}
    return dict(sorted(splits.items(), key=lambda item: order[item[1][1]])), problems


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, without their line ends."""
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError as error:
            raise DatasetImportError(
                f"{path} line {number}: byte {error.start + 1} is not UTF-8; convert the file"
            ) from error
        if line:
            yield number, line
