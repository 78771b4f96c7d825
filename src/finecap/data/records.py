"""The record of one image, and `captions.jsonl`: one JSON object per line, read and written here.

Reading is by hand and strict about every field, because this file is the only door through which
text enters the pipeline: whatever passes is a well-formed `Record`. What is not here: looking at
pixels, and judging captions by length or charset (`expectations`). Stays light: orchestration and
every stage import it, so it needs the standard library and pydantic's parser alone.
"""

import gc
import json
import os
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from pydantic_core import from_json

SPLITS = ("train", "val", "test")
"""In the order in which tables show them; a copy in an earlier split yields to a later one."""

REMEDY = "fix or remove the line"

Relation = tuple[int, Literal["left of", "right of", "above", "below"], int]
"""Subject's index into the objects, the relation, the object's index."""

RELATIONS = ("left of", "right of", "above", "below")

_FIELDS = frozenset({"image", "split", "captions", "part", "alt_text", "facts"})
_FACTS = frozenset({"background", "objects", "relations", "heldout"})
_OBJECT = frozenset({"name", "colour", "size"})
_SHOWN = 60  # characters of a wrong value that a message repeats
_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # no file system takes them all
_IMAGE = re.compile(rb'"image"\s*:\s*"([^"\\]+)"')
_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would make one for each line
_SURROGATE = re.compile("[\ud800-\udfff]")


class Thing(TypedDict):
    """One drawn object with the attributes bound to it."""

    name: str
    colour: str
    size: str


class Facts(TypedDict):
    """What is truly in the image: it scores captions and is never shown to a model."""

    background: str
    objects: list[Thing]  # the salient (largest) one first
    relations: list[Relation]
    heldout: bool  # true: a combination that never occurs in train


@dataclass(frozen=True, slots=True)
class Record:
    """One image of the data set: where it lies, its split, and what people said of it."""

    image: str  # relative to the data folder, and the record's id
    split: str
    captions: tuple[str, ...]  # R references
    part: str = ""  # of the drawn world's train rows: clip, judge or captioner
    alt_text: str | None = None
    facts: Facts | None = None


class RecordError(ValueError):
    """A line of `captions.jsonl` that is no record, or a file without records."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line is no record."""

    line: int  # from 1
    image: str  # "" where even that could not be read
    reason: str


class _Row(TypedDict):
    """A line's JSON once `_check` has passed it."""

    image: str
    split: str
    captions: list[str]
    part: NotRequired[str]
    alt_text: NotRequired[str | None]
    facts: NotRequired[Facts | None]


def read_records(path: Path) -> list[Record]:
    """All records of `path`, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        RecordError: a line is no record (names file, line, field and remedy), or there is none.
    """
    rows, problems = scan_records(path)
    if problems:
        first = problems[0]
        more = f" ({len(problems) - 1} more such lines)" if len(problems) > 1 else ""
        raise RecordError(f"{path} line {first.line}: {first.reason}; {REMEDY}{more}")
    if not rows:
        raise RecordError(f"{path} has no records, expected one JSON object per line")
    return [record for _, record in rows]


def scan_records(path: Path) -> tuple[list[tuple[int, Record]], list[Problem]]:
    """The good records with their line numbers, and why each other line is none.

    Blank lines count but are passed over. Of two lines that name the same image the first is kept.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist, expected one JSON object per line, one line per image; "
            "draw or import a data set first"
        )
    with gc_paused():
        return _scan(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def _scan(content: bytes) -> tuple[list[tuple[int, Record]], list[Problem]]:
    """`scan_records` of a file's content."""
    rows: list[tuple[int, Record]] = []
    problems: list[Problem] = []
    first_line: dict[str, int] = {}
    # Split at b"\n" alone: str.splitlines also splits at U+2028, which JSON allows inside strings.
    for number, raw in enumerate(content.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            record = record_of(_parse(raw))
        except RecordError as error:
            problems.append(Problem(number, _named(raw), str(error)))
            continue
        image = record.image
        if image in first_line:
            reason = f'"image" {image} is already on line {first_line[image]}'
            problems.append(Problem(number, image, reason))
            continue
        first_line[image] = number
        rows.append((number, record))
    return rows, problems


@contextmanager
def gc_paused() -> Generator[None]:
    """Hold back the cycle collector: it would walk the growing records again and again.

    Reading 25,000 records takes 0.4 s instead of 0.8 s; records hold no cycles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one line per record, atomically; fields that are empty are left out."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_line(record) for record in records)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _line(record: Record) -> str:
    """The record as one line of JSON."""
    row: dict[str, object] = {
        "image": record.image,
        "split": record.split,
        "captions": list(record.captions),
    }
    if record.part:
        row["part"] = record.part
    if record.alt_text is not None:
        row["alt_text"] = record.alt_text
    if record.facts is not None:
        row["facts"] = record.facts
    return _ENCODER.encode(row) + "\n"


def _parse(raw: bytes) -> Mapping[str, object]:
    """The line as a JSON object."""
    try:
        # Three times as fast as `json`, and stricter: what it refuses is looked at again.
        row: object = from_json(raw)
    except ValueError:
        row = _parse_slowly(raw)
    if not isinstance(row, dict):
        raise RecordError(f"expected a JSON object, came {_shown(row)}")
    return cast("dict[str, object]", row)


def _parse_slowly(raw: bytes) -> object:
    """The line's JSON, or what exactly is wrong with it."""
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise RecordError(f"byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"broken JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise RecordError("broken JSON: nested too deeply") from error


def record_of(row: Mapping[str, object]) -> Record:
    """The record in a parsed line.

    Raises:
        RecordError: it is none; names the field.
    """
    if unknown := row.keys() - _FIELDS:
        known = ", ".join(sorted(_FIELDS))
        raise RecordError(f'unknown field "{min(unknown)}", expected only {known}')
    for field in ("image", "split", "captions"):
        if field not in row:
            raise RecordError(f'"{field}" is missing')
    _check_image(row["image"])
    if row["split"] not in SPLITS:
        came = _shown(row["split"])
        raise RecordError(f'"split" is {came}, expected one of {", ".join(SPLITS)}')
    _check_captions(row["captions"])
    if not isinstance(row.get("part", ""), str):
        raise RecordError(f'"part" is {_shown(row["part"])}, expected text')
    if (alt_text := row.get("alt_text")) is not None:
        _check_text("alt_text", alt_text)
    good = cast("_Row", row)
    return Record(
        image=good["image"],
        split=good["split"],
        captions=tuple(good["captions"]),
        part=good.get("part", ""),
        alt_text=good.get("alt_text"),
        facts=_facts(row.get("facts")),
    )


def _named(raw: bytes) -> str:
    """The image that a bad line seems to name, for reports; the line may be broken anywhere."""
    match = _IMAGE.search(raw)
    return match[1].decode(errors="replace") if match else ""


def _check_image(image: object) -> None:
    if not isinstance(image, str) or not image.strip():
        raise RecordError(f'"image" is {_shown(image)}, expected a path such as images/000001.png')
    if _UNSAFE.search(image):
        raise RecordError(f'"image" {image!r} has characters that no file name may have')
    # One spelling per file, so that duplicates cannot hide behind "./" or "//".
    parts = image.split("/")
    if "\\" in image or ".." in parts or parts[0] == "" or image[1:2] == ":":
        raise RecordError(
            f'"image" {image} leads out of the data folder, expected a relative path with "/"'
        )
    if "" in parts or "." in parts:
        raise RecordError(f'"image" {image} has an empty or "." step, expected the plain path')


def _check_captions(captions: object) -> None:
    if not isinstance(captions, list):
        raise RecordError(f'"captions" is {_shown(captions)}, expected a list of sentences')
    if not captions:
        raise RecordError('"captions" is empty, expected at least one sentence')
    for number, caption in enumerate(cast("list[object]", captions), 1):
        if type(caption) is str and caption and not caption.isspace() and caption.isascii():
            continue
        _check_text(f"captions[{number}]", caption)


def _check_text(field: str, text: object) -> None:
    if not isinstance(text, str):
        raise RecordError(f'"{field}" is {_shown(text)}, expected text')
    if not text.strip():
        raise RecordError(f'"{field}" is empty, expected a sentence')
    if _SURROGATE.search(text):
        raise RecordError(f'"{field}" has half a surrogate pair, which is no text')


def _facts(facts: object) -> Facts | None:
    """The facts with their relations as tuples; None when the record has none."""
    if facts is None:
        return None
    row = _mapping("facts", facts, _FACTS)
    if not isinstance(row["background"], str) or not isinstance(row["heldout"], bool):
        raise RecordError('"facts" expects a text "background" and a true or false "heldout"')
    objects, relations = row["objects"], row["relations"]
    if not isinstance(objects, list) or not isinstance(relations, list):
        raise RecordError('"facts" expects lists of "objects" and "relations"')
    things = [_thing(thing) for thing in cast("list[object]", objects)]
    return {
        "background": row["background"],
        "objects": things,
        "relations": [_relation(it, len(things)) for it in cast("list[object]", relations)],
        "heldout": row["heldout"],
    }


def _thing(thing: object) -> Thing:
    row = _mapping("facts.objects", thing, _OBJECT)
    if not set(map(type, row.values())) == {str}:
        raise RecordError(f'"facts.objects" expects texts, came {_shown(thing)}')
    return cast("Thing", row)


def _relation(relation: object, count: int) -> Relation:
    """`[subject, relation, object]` with both indices among `count` objects."""
    match relation:
        case [int(subject), str(name), int(other)] if name in RELATIONS:
            if 0 <= subject < count and 0 <= other < count:
                return subject, name, other
        case _:
            pass
    raise RecordError(
        f'"facts.relations" has {_shown(relation)}, expected [subject, relation, object] with '
        f"indices below {count} and a relation of {', '.join(RELATIONS)}"
    )


def _mapping(field: str, value: object, keys: frozenset[str]) -> Mapping[str, object]:
    """`value`, which must be a JSON object with exactly these keys."""
    row: Mapping[str, object] = cast("dict[str, object]", value) if type(value) is dict else {}
    if row.keys() != keys:
        came = _shown(cast("object", value))
        raise RecordError(f'"{field}" expects the fields {", ".join(sorted(keys))}, came {came}')
    return row


def _shown(value: object) -> str:
    """`value` as JSON, short enough for a message."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
