"""The record of one image, and what makes one of a mapping: strict about every field.

Whatever passes is a well-formed `Record`; this is the only door through which text enters the
pipeline. What is not here: the files that records are in (`records`), looking at pixels, and
judging captions by length or charset (`expectations`). Stays light: orchestration and every stage
import it, so it needs the standard library alone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Literal, NotRequired, TypedDict, cast

SPLITS = ("train", "val", "test")
"""In the order in which tables show them; a copy in an earlier split yields to a later one."""

Relation = tuple[int, Literal["left of", "right of", "above", "below"], int]
"""Subject's index into the objects, the relation, the object's index."""

RELATIONS = ("left of", "right of", "above", "below")

_FIELDS = frozenset({"image", "split", "captions", "part", "alt_text", "facts"})
_FACTS = frozenset({"background", "objects", "relations", "heldout"})
_OBJECT = frozenset({"name", "colour", "size"})
_SHOWN = 60  # characters of a wrong value that a message repeats
_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # no file system takes them all
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
    """A row that is no record, or a file without records."""


class _Row(TypedDict):
    """A line's JSON once `_check` has passed it."""

    image: str
    split: str
    captions: list[str]
    part: NotRequired[str]
    alt_text: NotRequired[str | None]
    facts: NotRequired[Facts | None]


def record_of(row: Mapping[str, object]) -> Record:
    """The record in a parsed row.

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
        came = shown(row["split"])
        raise RecordError(f'"split" is {came}, expected one of {", ".join(SPLITS)}')
    _check_captions(row["captions"])
    if not isinstance(row.get("part", ""), str):
        raise RecordError(f'"part" is {shown(row["part"])}, expected text')
    if (alt_text := row.get("alt_text")) is not None:
        _check_text("alt_text", alt_text)
    good = cast("_Row", row)
    return Record(
        image=good["image"],
        split=intern(good["split"]),  # few words, of millions of records
        captions=tuple(good["captions"]),
        part=intern(good.get("part", "")),
        alt_text=good.get("alt_text"),
        facts=_facts(row.get("facts")),
    )


def _check_image(image: object) -> None:
    if not isinstance(image, str) or not image.strip():
        raise RecordError(f'"image" is {shown(image)}, expected a path such as images/000001.png')
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
        raise RecordError(f'"captions" is {shown(captions)}, expected a list of sentences')
    if not captions:
        raise RecordError('"captions" is empty, expected at least one sentence')
    for number, caption in enumerate(cast("list[object]", captions), 1):
        if type(caption) is str and caption and not caption.isspace() and caption.isascii():
            continue
        _check_text(f"captions[{number}]", caption)


def _check_text(field: str, text: object) -> None:
    if not isinstance(text, str):
        raise RecordError(f'"{field}" is {shown(text)}, expected text')
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
        raise RecordError(f'"facts.objects" expects texts, came {shown(thing)}')
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
        f'"facts.relations" has {shown(relation)}, expected [subject, relation, object] with '
        f"indices below {count} and a relation of {', '.join(RELATIONS)}"
    )


def _mapping(field: str, value: object, keys: frozenset[str]) -> Mapping[str, object]:
    """`value`, which must be a JSON object with exactly these keys."""
    row: Mapping[str, object] = cast("dict[str, object]", value) if type(value) is dict else {}
    if row.keys() != keys:
        came = shown(cast("object", value))
        raise RecordError(f'"{field}" expects the fields {", ".join(sorted(keys))}, came {came}')
    return row


def shown(value: object) -> str:
    """`value` as JSON, short enough for a message."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
