"""What people would say of a scene: short references, and one detailed `alt_text`.

References name the salient object and mostly leave detail out; each draws its details on its own,
so that maximum likelihood learns to leave them out while a sample still mentions some. The
`alt_text` names every object with its colour, and the background. Both are made of the same words
and phrases. `grammar.py` judges captions and shares nothing with these templates but the words.
"""

from finecap.data.scenes.generator import Generator
from finecap.data.scenes.vocabulary import BACKGROUNDS, RELATIONS
from finecap.data.scenes.world import Placed, Scene

REFERENCES = 5
"""References per image."""

MAX_ALT_WORDS = 26

# Percent of references, each drawn alone; a second object only where the scene has one.
_SECOND = 40
_COLOUR = 18
_SIZE = 8
_BACKGROUND = 6
_SECOND_COLOUR = 14  # of those that name the second object
_FRAMES = (
    ("", 58),
    ("there is ", 20),
    ("a picture of ", 12),
    ("a photo of ", 6),
    ("an image of ", 4),
)
_LINKS = (("and", 50), ("with", 20), ("near", 10), ("relation", 20))

# Percent of alt texts.
_ALT_SIZE = 60  # of the objects
_ALT_RELATIONS = 60  # of those with two objects or three
_ALT_FRONTED = 20
_ALT_FRAMES = (("", 80), ("a picture of ", 10), ("a photo of ", 6), ("an image of ", 4))


def references(scene: Scene, generator: Generator) -> tuple[str, ...]:
    """`REFERENCES` short captions of the scene, lower case, without a full stop."""
    return tuple(_reference(scene, generator) for _ in range(REFERENCES))


def _reference(scene: Scene, generator: Generator) -> str:
    """One caption: the salient object, and little else."""
    words = generator.weighted(_FRAMES) + noun_phrase(
        scene.objects[0],
        size=generator.chance(_SIZE),
        colour=generator.chance(_COLOUR),
    )
    if len(scene.objects) > 1 and generator.chance(_SECOND):
        second = noun_phrase(scene.objects[1], size=False, colour=generator.chance(_SECOND_COLOUR))
        link = generator.weighted(_LINKS)
        if link == "relation":
            link = _relation_phrase(scene, 1, generator)
        words += f" {link} {second}"
    if generator.chance(_BACKGROUND):
        words += " " + generator.choice(BACKGROUNDS[scene.background])
    return words


def alt_text(scene: Scene, generator: Generator) -> str:
    """A detailed caption: every object with its colour, and the background."""
    phrases = [
        noun_phrase(placed, size=generator.chance(_ALT_SIZE), colour=True)
        for placed in scene.objects
    ]
    group = _group(scene, phrases, generator)
    place = generator.choice(BACKGROUNDS[scene.background])
    fronted = f"{place} there is {group}"
    if generator.chance(_ALT_FRONTED) and len(fronted.split()) <= MAX_ALT_WORDS:
        return fronted
    # Three related objects alone may fill the 26 words: no room for "a picture of".
    frame = generator.weighted(_ALT_FRAMES) if len(phrases) < 3 else ""  # noqa: PLR2004
    return f"{frame}{group} {place}"


def _group(scene: Scene, phrases: list[str], generator: Generator) -> str:
    """The objects, with the relations of the first to the others or merely in a row."""
    if len(phrases) == 1:
        return phrases[0]
    if generator.chance(_ALT_RELATIONS):
        related = [
            f"{_relation_phrase(scene, index, generator)} {phrase}"
            for index, phrase in enumerate(phrases[1:], 1)
        ]
        return f"{phrases[0]} {' and '.join(related)}"
    first_link = generator.choice(("and", "with"))
    return f"{phrases[0]} {first_link} {' and '.join(phrases[1:])}"


def _relation_phrase(scene: Scene, other: int, generator: Generator) -> str:
    """How the salient object lies to object `other`, in one of the phrases that say it."""
    name = next(name for i, name, j in scene.relations if (i, j) == (0, other))
    return generator.choice(RELATIONS[name])


def noun_phrase(placed: Placed, *, size: bool, colour: bool) -> str:
    """The object with its article, e.g. "an orange boat"."""
    words = [placed.size] * size + [placed.colour] * colour + [placed.name]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])
