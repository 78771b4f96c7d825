"""What captions claim about a drawn image, against what is truly in it (`facts`).

A claim is read from words in their order, so a broken caption is read as far as it goes:

* an object: its name or plural as a whole word, once per kind however often it is said;
* a background: its key word, or "snowy";
* a colour or size: bound to an object only directly before its name ("large red boat",
  "red and white boats"), so "a green meadow with a boat" claims no green boat;
* a relation: between the object named last before its words and the one that opens the noun
  phrase after them. "A left of B" and "B right of A" are one claim.

Recall is the share of the facts that are claimed, precision the share of the claims that are true,
over all images together (micro-average), so both can be resampled from per-image counts. Where
nothing is claimed or nothing could be, the value is None with the reason, never 0. What is
not here: intervals (`evaluation`), and anything that feeds a reward: this module only scores.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finecap.data.records import Facts
from finecap.data.scenes.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    RELATIONS,
    SIZE_SYNONYMS,
    SIZES,
)

ASPECTS = ("object", "background", "size", "relation", "colour", "second_object_colour")
SUBSETS = ("", "_seen", "_heldout")
NAMES = tuple(
    f"{aspect}_{measure}{subset}"
    for aspect in ASPECTS
    for measure in ("recall", "precision")
    for subset in SUBSETS
)
"""Every metric of this module, as tables name it."""

_WORD = re.compile(r"[a-z]+")
_NAMES = {plural: name for name, plural in OBJECTS.items()} | {name: name for name in OBJECTS}
_SIZES = SIZE_SYNONYMS | {size: size for size in SIZES}
_BACKGROUNDS = {name: name for name in BACKGROUNDS} | {"snowy": "snow"}
_PHRASES = sorted(
    ((tuple(phrase.split()), name) for name, phrases in RELATIONS.items() for phrase in phrases),
    key=lambda entry: -len(entry[0]),
)
_OPPOSITES = {"right of": "left of", "below": "above"}
_OPENERS = frozenset({"a", "an", "the", "one", "two", "three", "another", "some"})

Claim = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a caption says, or what is so: each set holds one kind of claim."""

    objects: frozenset[str]
    backgrounds: frozenset[str]
    colours: frozenset[Claim]  # (object, colour)
    sizes: frozenset[Claim]  # (object, size)
    relations: frozenset[Claim]  # (object, "left of" or "above", object)


@dataclass(frozen=True)
class FineGrained:
    """Per-image counts of every metric; a metric's value is a ratio of their sums."""

    images: tuple[str, ...]
    numerators: Mapping[str, NDArray[np.int64]]  # by name in `NAMES`: (N,)
    denominators: Mapping[str, NDArray[np.int64]]  # (N,)

    def value(self, name: str, rows: NDArray[np.int64] | None = None) -> float | None:
        """The metric over all images, or over `rows` (with repeats) of a bootstrap sample.

        None where it is undefined; `reason` says why.
        """
        above, below = self.numerators[name], self.denominators[name]
        if rows is not None:
            above, below = above[rows], below[rows]
        total = int(below.sum())
        return int(above.sum()) / total if total else None

    def reason(self, name: str) -> str:
        """Why the metric has no value."""
        aspect = re.split("_recall|_precision", name)[0].replace("_", " ")
        if not len(self.images):
            return "no image was scored"
        where = next((s[1:] for s in SUBSETS if s and name.endswith(s)), "scored")
        if "_precision" in name:
            return f"no caption of the {where} images claims a {aspect}"
        return f"no {where} image has a {aspect} to claim"


def score(captions: Mapping[str, str], facts: Mapping[str, Facts]) -> FineGrained:
    """Counts of true claims, claims and facts for each image of `captions`.

    Args:
        captions: One caption per image.
        facts: What is in each image; may hold more images.

    Raises:
        ValueError: an image of `captions` has no facts.
    """
    missing = [image for image in captions if image not in facts]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(captions)} captioned images have no facts, first "
            f"{missing[0]!r}; fine-grained scores need the drawn world's records"
        )
    images = tuple(captions)
    counts = [_counts(read_caption(captions[image]), facts[image]) for image in images]
    heldout = np.array([facts[image]["heldout"] for image in images], dtype=bool)
    numerators: dict[str, NDArray[np.int64]] = {}
    denominators: dict[str, NDArray[np.int64]] = {}
    for name in NAMES:
        stem = name.removesuffix("_seen").removesuffix("_heldout")
        counted = {"_seen": ~heldout, "_heldout": heldout}.get(name[len(stem) :], True)
        pairs = np.array([row[stem] for row in counts], dtype=np.int64).reshape(-1, 2)
        numerators[name] = pairs[:, 0] * counted
        denominators[name] = pairs[:, 1] * counted
    return FineGrained(images, numerators, denominators)


def chance(captions: Mapping[str, str], facts: Mapping[str, Facts], seed: int = 0) -> FineGrained:
    """The score when each image gets the caption of another one, drawn by `seed`.

    What a captioner reaches by saying what is frequent, without looking.

    Raises:
        ValueError: fewer than two captions, or an image without facts.
    """
    if len(captions) < 2:  # noqa: PLR2004  # one caption has no other image to go to
        raise ValueError(f"chance needs two captions or more to permute, came {len(captions)}")
    images, texts = list(captions), list(captions.values())
    order: list[int] = np.random.default_rng(seed).permutation(len(images)).tolist()
    # Each image hands its caption to the next in a random circle, so none keeps its own.
    giver = dict(zip(order, order[-1:] + order[:-1], strict=True))
    return score({image: texts[giver[i]] for i, image in enumerate(images)}, facts)


def read_caption(caption: str) -> Claims:
    """The claims of a caption, however ungrammatical.

    >>> sorted(read_caption("a small red boat left of a house").colours)
    [('boat', 'red')]
    """
    words = _WORD.findall(caption.lower())
    named = {i: _NAMES[word] for i, word in enumerate(words) if word in _NAMES}
    before = {i: _adjectives(words, i) for i in named}
    return Claims(
        objects=frozenset(named.values()),
        backgrounds=frozenset(_BACKGROUNDS[word] for word in words if word in _BACKGROUNDS),
        colours=frozenset((named[i], w) for i in named for w in before[i] if w in COLOURS),
        sizes=frozenset((named[i], _SIZES[w]) for i in named for w in before[i] if w in _SIZES),
        relations=frozenset(_relations(words, named)),
    )


def read_facts(facts: Facts) -> Claims:
    """The facts in the form of claims: everything that a caption could truly say."""
    things = facts["objects"]
    return Claims(
        objects=frozenset(thing["name"] for thing in things),
        backgrounds=frozenset({facts["background"]}),
        colours=frozenset((thing["name"], thing["colour"]) for thing in things),
        sizes=frozenset((thing["name"], thing["size"]) for thing in things),
        relations=frozenset(
            _turned(things[i]["name"], relation, things[j]["name"])
            for i, relation, j in facts["relations"]
        ),
    )


def _counts(said: Claims, facts: Facts) -> dict[str, tuple[int, int]]:
    """(numerator, denominator) of each metric without suffix, for one image."""
    true = read_facts(facts)
    # With one object there is no second one, neither to claim nor to find.
    seconds = frozenset(thing["name"] for thing in facts["objects"][1:2])
    pairs: dict[str, tuple[frozenset[Claim], frozenset[Claim]]] = {
        "object": (_wrapped(said.objects), _wrapped(true.objects)),
        "background": (_wrapped(said.backgrounds), _wrapped(true.backgrounds)),
        "size": (said.sizes, true.sizes),
        "relation": (said.relations, true.relations),
        "colour": (said.colours, true.colours),
        "second_object_colour": (_about(said.colours, seconds), _about(true.colours, seconds)),
    }
    counts: dict[str, tuple[int, int]] = {}
    for aspect, (claimed, so) in pairs.items():
        counts[f"{aspect}_recall"] = (len(claimed & so), len(so))
        counts[f"{aspect}_precision"] = (len(claimed & so), len(claimed))
    return counts


def _wrapped(names: frozenset[str]) -> frozenset[Claim]:
    """Names as claims of one word."""
    return frozenset((name,) for name in names)


def _about(claims: frozenset[Claim], names: frozenset[str]) -> frozenset[Claim]:
    """The claims about objects of those names."""
    return frozenset(claim for claim in claims if claim[0] in names)


def _adjectives(words: Sequence[str], noun: int) -> list[str]:
    """Colours and sizes directly before the noun; "and" joins two of them."""
    found: list[str] = []
    at = noun - 1
    while at >= 0 and (words[at] in COLOURS or words[at] in _SIZES):
        found.append(words[at])
        at -= 1
        is_joined = at > 0 and words[at] == "and" and words[at - 1] in COLOURS
        if is_joined and words[at + 1] in COLOURS:
            at -= 1
    return found


def _relations(words: Sequence[str], named: Mapping[int, str]) -> list[Claim]:
    """Each relation's claim, where both its objects are named."""
    claims: list[Claim] = []
    at = 0
    while at < len(words):
        match = next((e for e in _PHRASES if tuple(words[at : at + len(e[0])]) == e[0]), None)
        if match is None:
            at += 1
            continue
        phrase, relation = match
        subject = max((i for i in named if i < at), default=None)
        at += len(phrase)
        other = _opened_noun(words, at, named)
        if subject is not None and other is not None:
            claims.append(_turned(named[subject], relation, other))
    return claims


def _opened_noun(words: Sequence[str], at: int, named: Mapping[int, str]) -> str | None:
    """The object whose noun phrase begins at `at`; None in "over the sea near a boat"."""
    modifiers = _OPENERS | COLOURS.keys() | _SIZES.keys() | {"and"}
    while at < len(words) and words[at] in modifiers:
        at += 1
    return named.get(at)


def _turned(subject: str, relation: str, other: str) -> Claim:
    """One form for a relation and its mirror: "B right of A" is "A left of B"."""
    if relation in _OPPOSITES:
        return other, _OPPOSITES[relation], subject
    return subject, relation, other
