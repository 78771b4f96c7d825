"""Word classes learnt from where words stand: which words may stand in for each other.

Captions are few beside what can be said: "purple umbrella" may never occur although both words do.
Whether an edit made nonsense is therefore asked of classes, not of words. Words are grouped by
the frequent words around them (k-means on square-rooted frequencies, after Schütze 1995,
"Distributional part-of-speech tagging"), without a tagger, so in any language of captions.
Function words are too few and too different to be grouped: each is a class of its own.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finecap.negatives.words import indefinite_article

CONTEXTS = 200  # most frequent words, whose presence left and right describes a word
MAX_CLASSES = 48
MAX_ITERATIONS = 25

Sentence = tuple[str, ...]


def word_classes(sentences: Sequence[Sentence], own_class: frozenset[str]) -> dict[str, str]:
    """The class of each word in `sentences`; words of `own_class` are their own.

    A class name ends in the article its words take, as "a red" and "an red" must not look alike.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    grouped = sorted(word for word in counts if word not in own_class)
    features = _features(sentences, grouped, counts)
    labels = _k_means(features, min(MAX_CLASSES, max(4, len(grouped) // 6)))
    classes = {word: word for word in counts if word in own_class}
    for word, label in zip(grouped, labels.tolist(), strict=True):
        classes[word] = f"#{label}{indefinite_article(word)}"
    return classes


def _features(
    sentences: Sequence[Sentence], grouped: list[str], counts: Counter[str]
) -> NDArray[np.float32]:
    """Unit rows (words, 2 (CONTEXTS + 2)): what stands before and after each word."""
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:CONTEXTS]
    column = {word: i + 2 for i, word in enumerate(frequent)}  # 0: boundary, 1: any rarer word
    row = {word: i for i, word in enumerate(grouped)}
    width = len(column) + 2
    pairs: Counter[tuple[int, int]] = Counter()
    for sentence in sentences:
        columns = [0, *(column.get(word, 1) for word in sentence), 0]
        for i, word in enumerate(sentence):
            at = row.get(word)
            if at is not None:
                pairs[at, columns[i]] += 1
                pairs[at, width + columns[i + 2]] += 1
    features = np.zeros((len(grouped), 2 * width), dtype=np.float32)
    for (at, context), count in pairs.items():
        features[at, context] = count**0.5
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(norms, 1e-9)


def _k_means(features: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Label of each row: spherical k-means, started from the rows farthest from each other."""
    if len(features) <= k:
        return np.arange(len(features))
    similarity = features @ features.mean(axis=0)
    chosen = [int(similarity.argmax())]
    nearest = features @ features[chosen[0]]
    for _ in range(k - 1):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, features @ features[chosen[-1]])
    centres = features[chosen]
    labels = (features @ centres.T).argmax(axis=1)
    for _ in range(MAX_ITERATIONS):
        centres = np.stack([features[labels == i].sum(axis=0) for i in range(k)])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
        moved = (features @ centres.T).argmax(axis=1)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels
