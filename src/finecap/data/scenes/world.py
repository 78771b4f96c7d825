"""What is in each scene: background, objects, places, and the facts that follow from them.

Combinations are free (a boat may stand in a meadow), so no detail can be guessed from another: only
from the picture. Exceptions are `HELD_OUT_COLOURS` and `HELD_OUT_PLACES`, which train never shows.
How a scene is drawn or told is not decided here. All arithmetic is on integers.
"""

from dataclasses import dataclass
from typing import Literal

from finecap.data.records import Facts, Relation
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.sprites import box
from finecap.data.scenes.vocabulary import BACKGROUNDS, COLOURS, OBJECTS

SIDE = 96
"""Width and height of an image, in pixels."""

SMALL_SIDES = (24, 28)
LARGE_SIDES = (45, 48, 52)
"""Longer side of an object in pixels: the largest small one is 1.6 times under the least large."""

HELD_OUT_COLOURS = (
    ("red", "boat"),
    ("blue", "cat"),
    ("green", "car"),
    ("yellow", "house"),
    ("purple", "bird"),
    ("orange", "umbrella"),
    ("white", "kite"),
    ("black", "flower"),
    ("red", "tree"),
    ("blue", "bench"),
)
"""(colour, object) pairs that no train image shows."""

HELD_OUT_PLACES = (
    ("night", "kite"),
    ("desert", "boat"),
    ("sea", "bench"),
    ("city", "tree"),
    ("snow", "balloon"),
    ("forest", "airplane"),
    ("sunset", "house"),
    ("meadow", "car"),
)
"""(background, object) pairs that no train image shows."""

_HELD_OUT_PERCENT = 20  # of val and test
_COUNTS = ((1, 25), (2, 50), (3, 25))
_LARGE_SALIENT_PERCENT = 60
_LARGE_OTHER_PERCENT = 40  # of scenes with a large salient object: the second is large too
_BORDER = 1  # pixel kept free around the objects
_MAX_OVERLAP_PERCENT = 15  # of the smaller box
_MIN_DISTANCE = 18  # pixels between centres along the axis that names the relation
_PLACINGS = 60  # tries for one object before the whole scene is placed anew


@dataclass(frozen=True, slots=True)
class Placed:
    """An object with its box: left, top, width, height in pixels."""

    name: str
    colour: str
    size: str
    side: int
    left: int
    top: int
    width: int
    height: int
    mirrored: bool

    @property
    def twice_centre(self) -> tuple[int, int]:
        """Twice the centre of the box (x, y): a whole number."""
        return 2 * self.left + self.width, 2 * self.top + self.height


@dataclass(frozen=True, slots=True)
class Scene:
    """One image's content; `objects[0]` is the salient one, the largest."""

    background: str
    objects: tuple[Placed, ...]
    heldout: bool

    @property
    def relations(self) -> list[Relation]:
        """The dominating relation of every pair, the one with the lower index as its subject."""
        found: list[Relation] = []
        for j, other in enumerate(self.objects):
            for i, subject in enumerate(self.objects[:j]):
                name = relation(subject, other)
                if name is not None:  # never None in a sampled scene: `_fits`
                    found.append((i, name, j))
        return found

    def facts(self) -> Facts:
        """The record's `facts`."""
        return {
            "background": self.background,
            "objects": [{"name": o.name, "colour": o.colour, "size": o.size} for o in self.objects],
            "relations": self.relations,
            "heldout": self.heldout,
        }


RelationName = Literal["left of", "right of", "above", "below"]


def relation(subject: Placed, other: Placed) -> RelationName | None:
    """Where `subject` lies seen from `other`; None when two answers would be fair.

    The distance of the centres along the naming axis is at least 18 pixels and at least 1.5 times
    that along the other axis.
    """
    (x0, y0), (x1, y1) = subject.twice_centre, other.twice_centre
    across, down = abs(x0 - x1), abs(y0 - y1)
    if max(across, down) < 2 * _MIN_DISTANCE or 2 * max(across, down) < 3 * min(across, down):
        return None
    if across > down:
        return "left of" if x0 < x1 else "right of"
    return "above" if y0 < y1 else "below"


def is_held_out(background: str, objects: list[tuple[str, str]]) -> bool:
    """True when the scene shows a combination that train never does; objects: (name, colour)."""
    return any(
        (colour, name) in HELD_OUT_COLOURS or (background, name) in HELD_OUT_PLACES
        for name, colour in objects
    )


def sample_scene(generator: Generator, *, train: bool) -> Scene:
    """A scene from the generator's stream; `train` scenes never show a held-out combination."""
    heldout = not train and generator.chance(_HELD_OUT_PERCENT)
    background, objects = _combination(generator, heldout=heldout)
    sizes = _sizes(generator, len(objects))
    return Scene(background, _placed(generator, objects, sizes), heldout)


def _combination(generator: Generator, *, heldout: bool) -> tuple[str, list[tuple[str, str]]]:
    """A background and (name, colour) of each object, drawn freely or around a held-out pair."""
    # Drawn before the loop: fewer scenes of three objects pass it, and counts must not drift.
    count = generator.weighted(_COUNTS)
    while True:
        background = generator.choice(tuple(BACKGROUNDS))
        names = generator.shuffled(tuple(OBJECTS))[:count]
        colours = generator.shuffled(tuple(COLOURS))[:count]
        objects = list(zip(names, colours, strict=True))
        if heldout:
            background, objects = _with_held_out_pair(generator, background, objects)
        # No name and no colour twice: what a colour is said of can then be told apart.
        distinct = all(len(set(values)) == count for values in zip(*objects, strict=True))
        if distinct and is_held_out(background, objects) == heldout:
            return background, objects


def _with_held_out_pair(
    generator: Generator, background: str, objects: list[tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """The same with one held-out pair put in, at any object."""
    at = generator.below(len(objects))
    pair = generator.below(len(HELD_OUT_COLOURS) + len(HELD_OUT_PLACES))
    changed = list(objects)
    if pair < len(HELD_OUT_COLOURS):
        colour, name = HELD_OUT_COLOURS[pair]
        changed[at] = (name, colour)
    else:
        background, name = HELD_OUT_PLACES[pair - len(HELD_OUT_COLOURS)]
        changed[at] = (name, objects[at][1])
    return background, changed


def _sizes(generator: Generator, count: int) -> list[int]:
    """Longer side of each object in pixels, the first strictly the largest."""
    if not generator.chance(_LARGE_SALIENT_PERCENT):
        return [generator.choice(SMALL_SIDES)] if count == 1 else [28] + [24] * (count - 1)
    first = generator.choice(LARGE_SIDES if count == 1 else LARGE_SIDES[1:])
    second = LARGE_SIDES[0] if generator.chance(_LARGE_OTHER_PERCENT) else SMALL_SIDES[1]
    return [first, second, SMALL_SIDES[0]][:count]


def _placed(
    generator: Generator, objects: list[tuple[str, str]], sides: list[int]
) -> tuple[Placed, ...]:
    """The objects in free places, little overlap, every relation unambiguous."""
    while True:
        placed: list[Placed] = []
        for (name, colour), side in zip(objects, sides, strict=True):
            for _ in range(_PLACINGS):
                candidate = _somewhere(generator, name, colour, side)
                if all(_fits(candidate, other) for other in placed):
                    placed.append(candidate)
                    break
            else:
                break
        if len(placed) == len(objects):
            return tuple(placed)


def _somewhere(generator: Generator, name: str, colour: str, side: int) -> Placed:
    """The object anywhere inside the image."""
    width, height = box(name, side)
    return Placed(
        name=name,
        colour=colour,
        size="small" if side in SMALL_SIDES else "large",
        side=side,
        left=generator.between(_BORDER, SIDE - _BORDER - width),
        top=generator.between(_BORDER, SIDE - _BORDER - height),
        width=width,
        height=height,
        mirrored=generator.chance(50),
    )


def _fits(one: Placed, other: Placed) -> bool:
    """True when the two overlap little and one relation is clear."""
    return overlap_percent(one, other) <= _MAX_OVERLAP_PERCENT and relation(one, other) is not None


def overlap_percent(one: Placed, other: Placed) -> int:
    """Common area of two boxes in percent of the smaller one, rounded up."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return -(-100 * max(across, 0) * max(down, 0) // smaller)
