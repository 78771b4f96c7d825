"""The lexicon of the grammar: which noun goes with which preposition, article and adjective order.

Words come from `vocabulary.py`; what is added is what English allows with them ("on the beach", not
"in the beach"; "at night", not "on the night"), as a careful reader would have it, whether or not
`language.py` ever says so. How words make a caption is for `grammar.py`.
"""

from dataclasses import dataclass

from finecap.data.scenes.vocabulary import COLOURS, OBJECTS, RELATIONS, SIZE_SYNONYMS, SIZES


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun: the prepositions it may follow ("" stands for none) and how it takes articles."""

    name: str
    prepositions: frozenset[str]
    plural: bool = False
    countable: bool = True  # takes "a"; else only "the"
    is_place: bool = False


_SIDES_OF = ("to the left of", "to the right of", "on the left of", "on the right of")
_ANYWHERE = frozenset(
    {"", "with", "near", "in front of", *_SIDES_OF}
    | {phrase for phrases in RELATIONS.values() for phrase in phrases}
)
"""Prepositions that any noun may follow, and no preposition at all."""

_ON = frozenset({"on"})
_IN = frozenset({"in"})
_AT = frozenset({"at"})
_NONE: frozenset[str] = frozenset()

PREPOSITIONS = tuple(sorted((_ANYWHERE | _ON | _IN | _AT) - {"", "with"}))
"""What may open a prepositional phrase; "with" joins a companion instead."""

SIDES = ("to the left", "to the right", "on the left", "on the right")
"""Phrases that say a side without saying of what."""

FRAMES = tuple(
    f"{article} {noun} of"
    for noun, indefinite in (("picture", "a"), ("photo", "a"), ("image", "an"))
    for article in (indefinite, "the")
)

BARE = {"at night": "night", "at sunset": "sunset", "at sea": "sea", "in snow": "snow"}
"""Places said without an article, and the noun each uses up."""

ADJECTIVES: dict[str, int] = (
    dict.fromkeys((*SIZES, *SIZE_SYNONYMS), 1)
    | dict.fromkeys(("sandy", "snowy"), 2)
    | dict.fromkeys(COLOURS, 3)
)
"""Adjective to its rank: ranks rise from left to right, so no kind is said twice."""

DETERMINERS = frozenset({"a", "an", "the", "one", "another", "two", "three", "some"})


def _place(name: str, prepositions: frozenset[str], *, countable: bool = True) -> Noun:
    """A place that also stands wherever any noun may."""
    return Noun(name, _ANYWHERE | prepositions, countable=countable, is_place=True)


_PLACES = {
    "sea": _place("sea", _ON | _IN | _AT, countable=False),
    "beach": _place("beach", _ON | _AT),
    "meadow": _place("meadow", _IN | _ON),
    "snow": _place("snow", _IN | _ON, countable=False),
    "field": _place("field", _IN | _ON),
    "sky": _place("sky", _IN, countable=False),
    "night sky": _place("night", _IN),
    # A time, not a thing: nothing is in front of it, above it or beside it.
    "night": Noun("night", _IN, countable=False, is_place=True),
    "sunset": Noun("sunset", _IN | {"", "with", "in front of", "under", "below"}, is_place=True),
    "city": _place("city", _IN),
    "desert": _place("desert", _IN),
    "forest": _place("forest", _IN),
}
_THINGS = {
    word: Noun(word, _ANYWHERE | _ON | _IN | (_AT if name == "house" else _NONE), plural=many)
    for name, plural in OBJECTS.items()
    for word, many in ((name, False), (plural, True))
}

NOUNS: dict[str, Noun] = _PLACES | _THINGS
"""Every noun of the world by its word."""
