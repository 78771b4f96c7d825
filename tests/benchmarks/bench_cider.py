"""CIDEr-D as a reward, against pycocoevalcap: asked is 20 times its speed once references are seen.

A training step's 320 sampled captions (64 images, 5 each) against 5 references per image, tokenised
strings in, scores out, document frequencies of 2,000 training images counted beforehand in both.
Warm: the images' references were scored before, as in every epoch but the first. Cold: never.
Repeated: of each image's 5 samples 3 are alike. Raw: captions are tokenised too, by ours alone.

Words by Zipf's law from 2,000, in sentences of 8 to 16 words that share templates: two of three
captions have a word twice, as in Flickr8k, and share more n-grams with the references than people's
captions do (mean score 1.3; a Flickr8k caption against its image's other four 0.7), as those of a
policy rewarded for it. What is shared costs ours time, and not pycocoevalcap.
"""

import copy
import random
from collections.abc import Callable
from itertools import accumulate

import numpy as np

from finecap.metrics.cider import CiderD
from tests.benchmarks.measure import cpu_seconds_of, cpu_seconds_once
from tests.finecap.metrics.cider_reference import ReferenceCiderD

IMAGES, SAMPLES, REFERENCES, TRAIN = 64, 5, 5, 2_000
VOCABULARY = {
    "NOUN": [f"noun{rank}" for rank in range(1_200)],
    "VERB": [f"verb{rank}" for rank in range(500)],
    "KIND": [f"kind{rank}" for rank in range(300)],
}
TEMPLATES = [
    "a KIND NOUN is VERB on the NOUN",
    "a KIND NOUN in a KIND NOUN VERB on top of a NOUN by the NOUN",
    "two NOUN are VERB in front of a NOUN",
    "a NOUN and a NOUN VERB near some KIND NOUN",
    "the KIND NOUN with a KIND NOUN is VERB through the NOUN",
    "a NOUN VERB over the KIND NOUN of a NOUN",
    "a group of NOUN VERB next to a KIND NOUN at the NOUN",
    "KIND NOUN VERB in the NOUN with its NOUN",
    "there is a NOUN VERB a KIND NOUN while a NOUN is VERB it",
]


def run() -> dict[str, object]:
    """CPU milliseconds of both, how many times as fast ours is, and how far the scores differ."""
    train, candidates, references = batch(seed=0)
    starts = range(0, len(candidates), SAMPLES)
    repeated = [candidates[start + max(0, k - 2)] for start in starts for k in range(SAMPLES)]
    theirs, ours, raw = ReferenceCiderD(train), CiderD(train, tokenised=True), CiderD(train)
    cold = min(
        cpu_seconds_once(lambda own=unused: own.scores(candidates, references))
        for unused in [copy.deepcopy(ours) for _ in range(5)]
    )
    seconds = cpu_seconds_of(
        {
            "pycocoevalcap": lambda: theirs.scores(candidates, references),
            "warm": lambda: ours.scores(candidates, references),
            "repeated": lambda: ours.scores(repeated, references),
            "raw": lambda: raw.scores(candidates, references),
        },
        repeats=15,
    ) | {"cold": cold}
    scores = ours.scores(candidates, references)
    wanted = theirs.scores(candidates, references)
    return {
        "largest_difference": float(np.abs(scores - wanted).max()),
        "mean_score": float(scores.mean()),
        **{f"{name}_ms": value * 1e3 for name, value in seconds.items()},
        **{
            f"{name}_times_as_fast": seconds["pycocoevalcap"] / seconds[name]
            for name in ("warm", "repeated", "raw", "cold")
        },
    }


def batch(seed: int) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """References of train; a step's candidates and, for each, its image's references."""
    write = writer(random.Random(seed))  # noqa: S311 test data
    train = [[write(image) for _ in range(REFERENCES)] for image in range(TRAIN)]
    candidates = [write(image) for image in range(IMAGES) for _ in range(SAMPLES)]
    # Samples of a policy in training say things twice more often than people do.
    candidates[::10] = [" ".join([*c.split()[:8], *c.split()[4:8]]) for c in candidates[::10]]
    return train, candidates, [train[image] for image in range(IMAGES) for _ in range(SAMPLES)]


def writer(rng: random.Random) -> Callable[[int], str]:
    """Writes captions of an image by its number: of what it shows, and now and then of else."""
    zipf = {
        kind: (words, list(accumulate(1 / (rank + 3) for rank in range(len(words)))))
        for kind, words in VOCABULARY.items()
    }

    def draw(kind: str) -> str:
        words, weights = zipf[kind]
        return rng.choices(words, cum_weights=weights)[0]

    shown: dict[int, dict[str, list[str]]] = {}

    def write(image: int) -> str:
        own = shown.setdefault(image, {kind: [draw(kind) for _ in range(3)] for kind in zipf})
        seen = dict.fromkeys(zipf, 0)
        words: list[str] = []
        for word in rng.choice(TEMPLATES[image % 3 :: 3]).split():
            if word not in zipf:
                words.append(word)
                continue
            words.append(own[word][seen[word] % 3] if rng.random() < 0.6 else draw(word))
            seen[word] += 1
        return " ".join(words)

    return write
