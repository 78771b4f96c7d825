"""Sentences made to break a tokeniser: seeded mixtures of what captions and the web hold.

`tests/golden/ptb_pieces.json` has the pieces by kind: quotes, clitics, abbreviations, numbers,
addresses, mark-up, brackets, dashes, signs of other scripts, emoji, white space. They stand between
words, or are glued to each other. What stays out: what their tokens are (`ptb_golden.py` asks the
Java tokeniser).
"""

import json
import random
from pathlib import Path

PIECES = json.loads(
    (Path(__file__).parents[2] / "golden" / "ptb_pieces.json").read_text(encoding="utf-8")
)
WORDS, SPACES, SCRAPS, CLASSES = (
    PIECES.pop(kind) for kind in ("words", "spaces", "scraps", "classes")
)
KINDS: list[list[str]] = list(PIECES.values())
ASCII = [chr(code) for code in range(0x21, 0x7F)]


def sentences(count: int, seed: int) -> list[str]:
    """`count` sentences, in turn of pieces among words, pieces glued, scraps, characters."""
    rng = random.Random(seed)  # noqa: S311 test data
    makers = (_spaced, _glued, _scraps, _characters)
    return [makers[index % len(makers)](rng) for index in range(count)]


def _spaced(rng: random.Random) -> str:
    """A caption of 4 to 12 words in which up to four pieces stand, or hang on a word."""
    words = rng.choices(WORDS, k=rng.randint(4, 12))
    for _ in range(rng.randint(1, 4)):
        piece, at = rng.choice(rng.choice(KINDS)), rng.randrange(len(words))
        words[at] = rng.choice([piece, piece, words[at] + piece, piece + words[at]])
    gaps = [rng.choice(SPACES) if rng.random() < 0.05 else " " for _ in words]
    return "".join(word + gap for word, gap in zip(words, gaps, strict=True)).strip(" ")


def _glued(rng: random.Random) -> str:
    """Up to three compounds of up to five pieces and words without a space."""
    return " ".join(
        "".join(
            rng.choice(WORDS if rng.random() < 0.4 else rng.choice(KINDS))
            for _ in range(rng.randint(2, 5))
        )
        for _ in range(rng.randint(1, 3))
    )


def _scraps(rng: random.Random) -> str:
    """Two to six of the shortest things that a rule is about, spaces among them."""
    return "".join(rng.choices(SCRAPS, k=rng.randint(2, 6))).strip() or "x"


def _characters(rng: random.Random) -> str:
    """Two to seven characters: ASCII, or one of each class that the reference tells apart."""
    kinds = rng.choice([ASCII, ASCII, CLASSES, [*"aA1 .-'"]])
    some = [rng.choice(rng.choice([kinds, [*"aA1. "]])) for _ in range(rng.randint(2, 7))]
    return "".join(some).strip() or "x"
