"""Captions to search in, drawn from a seed."""

import random

import numpy as np

THINGS = (
    *("boat", "house", "tree", "car", "cat", "bird", "kite", "bench", "horse", "dog", "ball"),
    *("bridge", "tower", "lamp"),
)
COLOURS = ("red", "blue", "green", "black", "white", "brown")
PLACES = ("sea", "beach", "meadow", "snow", "night", "city", "desert", "forest")


def drawn_captions(rows: int, seed: int) -> list[str]:
    """Sentences as captioners write them, a tenth of the nouns plural."""
    draw = random.Random(seed)  # noqa: S311 - test captions

    def thing() -> str:
        return f"{draw.choice(COLOURS)} {draw.choice(THINGS)}{draw.choice(['', 's'])}"

    def caption() -> str:
        second = f" {draw.choice(['above', 'below', 'near', 'left of'])} a {thing()}"
        return f"a {thing()}{draw.choice(['', second])} in the {draw.choice(PLACES)}"

    return [caption() for _ in range(rows)]


def zipf_captions(rows: int, seed: int) -> list[str]:
    """Words that no English analyser knows, common ones common."""
    draw = np.random.default_rng(seed)
    ranks = np.minimum(draw.zipf(1.3, size=(rows, 12)), 5000)
    lengths = draw.integers(5, 13, size=rows)
    return [" ".join(f"q{w}" for w in row[:n]) for row, n in zip(ranks, lengths, strict=True)]
