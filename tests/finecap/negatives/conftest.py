"""A small corpus with two articles, plurals, places and relations."""

import itertools

import pytest

from finecap.data.records import Record

ADJECTIVES = ("red", "orange", "large", "old")
NOUNS = ("dog", "umbrella", "house", "owl")
PLACES = ("on the beach", "in the park", "at night", "in the water")


def sentences() -> list[str]:
    """Correct captions: each adjective with each noun but "orange owl", in two shapes."""
    lines: list[str] = []
    pairs = list(itertools.product(ADJECTIVES, NOUNS))
    for (i, (adjective, noun)), place in itertools.product(enumerate(pairs), PLACES):
        if (adjective, noun) == ("orange", "owl"):
            continue
        article = "an" if adjective[0] in "aeio" else "a"
        lines.append(f"{article} {adjective} {noun} {place}")
        other = NOUNS[(i + 1) % len(NOUNS)]
        second = "an" if other[0] in "aeiou" else "a"
        lines.append(f"{article} {adjective} {noun} and {second} {other} {place}")
    return lines


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Train records with short captions and alt_text, and val and test ones with other words."""
    lines = sentences()
    train = [
        Record(f"images/{i}.png", "train", (line,), alt_text=f"{line} near a tall tree")
        for i, line in enumerate(lines)
    ]
    return [
        *train,
        Record("images/val.png", "val", ("a secret valley",)),
        Record("images/test.png", "test", ("a hidden testament",)),
    ]
