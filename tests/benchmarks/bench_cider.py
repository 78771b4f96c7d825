"""CIDEr-D as a reward, against pycocoevalcap: asked is 20 times its speed once references are seen.

A training step's 320 sampled captions (64 images, 5 each) against 5 references per image, tokenised
strings in, scores out, document frequencies of 2,000 training images counted beforehand in both.
Warm: the images' references were scored before, as in every epoch but the first. Cold: never.
The words are drawn by Zipf's law from 2,000, in sentences that share templates, as captions do.
"""

import random
from collections.abc import Callable
from itertools import accumulate

import numpy as np

from finecap.metrics.cider import CiderD
from tests.benchmarks.measure import cpu_seconds_of, cpu_seconds_once
from tests.finecap.metrics.cider_reference import ReferenceCiderD

IMAGES, SAMPLES, REFERENCES, TRAIN = 64, 5, 5, 2_000
WORDS = [f"word{rank}" for rank in range(2_000)]
GLUE = ["a", "a", "the", "is", "on", "in", "with", "and", "of", "to"]


def run() -> dict[str, object]:
    """CPU seconds of both and their ratios, cold and warm, captions distinct or partly repeated."""
    train, candidates, references = batch(seed=0)
    theirs, ours = ReferenceCiderD(train), CiderD(train, tokenised=True)
    cold = cpu_seconds_once(lambda: ours.scores(candidates, references))
    cold_theirs = cpu_seconds_once(lambda: theirs.scores(candidates, references))
    warm = cpu_seconds_of(
        {
            "theirs": lambda: theirs.scores(candidates, references),
            "ours": lambda: ours.scores(candidates, references),
        },
        repeats=7,
    )
    difference = ours.scores(candidates, references) - theirs.scores(candidates, references)
    return {
        "pycocoevalcap_ms": warm["theirs"] * 1e3,
        "warm_ms": warm["ours"] * 1e3,
        "warm_ratio": warm["theirs"] / warm["ours"],
        "cold_ms": cold * 1e3,
        "cold_ratio": cold_theirs / cold,
        "largest_difference": float(np.abs(difference).max()),
        "distinct_captions": len(set(candidates)),
    }


def batch(seed: int) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """References of train; a step's candidates and, for each, its image's references."""
    sentence = sentences(random.Random(seed))  # noqa: S311 test data
    train = [[sentence(image) for _ in range(REFERENCES)] for image in range(TRAIN)]
    candidates = [sentence(image) for image in range(IMAGES) for _ in range(SAMPLES)]
    return train, candidates, [train[image] for image in range(IMAGES) for _ in range(SAMPLES)]


def sentences(rng: random.Random) -> Callable[[int], str]:
    """Captions of an image: glue words as in all, content words half its own, 8 to 16 in all."""
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(WORDS))))
    topics: dict[int, list[str]] = {}

    def sentence(image: int) -> str:
        own = topics.setdefault(image, rng.choices(WORDS, cum_weights=weights, k=8))
        words: list[str] = []
        for position in range(rng.randint(8, 16)):
            if position % 2 == 0:
                words.append(rng.choice(GLUE))
            else:
                words += (
                    rng.choices(WORDS, cum_weights=weights)
                    if rng.random() < 0.4
                    else [rng.choice(own)]
                )
        return " ".join(words)

    return sentence
