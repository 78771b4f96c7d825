"""The words of the drawn world, and nothing else: what can be in a scene and how it is called.

Drawing, language, grammar and fine-grained scoring all read this one list. It never reaches a
reward, a negative's label, a decoder or a selection.
"""

OBJECTS: dict[str, str] = {
    "boat": "boats",
    "house": "houses",
    "tree": "trees",
    "car": "cars",
    "cat": "cats",
    "bird": "birds",
    "balloon": "balloons",
    "umbrella": "umbrellas",
    "airplane": "airplanes",
    "bench": "benches",
    "flower": "flowers",
    "kite": "kites",
}
"""Singular to plural. Two begin with a vowel sound, so that a/an has to be learnt."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (208, 44, 46),
    "orange": (240, 134, 32),
    "yellow": (246, 212, 58),
    "green": (52, 148, 74),
    "blue": (44, 92, 204),
    "purple": (132, 66, 170),
    "white": (244, 244, 240),
    "black": (38, 38, 44),
}
"""Name to base sRGB of the object's body; shades are derived from it."""

BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "sea": ("on the sea", "in front of the sea"),
    "beach": ("on the beach", "on a sandy beach"),
    "meadow": ("in a meadow", "in a green meadow"),
    "snow": ("in the snow", "on a snowy field"),
    "night": ("at night", "under the night sky"),
    "sunset": ("at sunset", "in front of a sunset"),
    "city": ("in the city", "in front of a city"),
    "desert": ("in the desert", "in a sandy desert"),
    "forest": ("in the forest", "in front of a forest"),
}
"""Background to the phrases that name it. A caption names a background when it contains its key
word, or `snowy` for snow."""

SIZES: tuple[str, ...] = ("small", "large")
"""Every object is clearly one of the two (sides differ by a factor of at least 1.6)."""

SIZE_SYNONYMS: dict[str, str] = {
    "big": "large",
    "huge": "large",
    "tiny": "small",
    "little": "small",
}

RELATIONS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
"""Relation of subject to object, by the drawn centres, to the phrases that say it."""
