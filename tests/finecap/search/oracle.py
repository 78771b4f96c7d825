"""What is true, computed the plain way: BM25 by the book, neighbours by brute force."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from finecap.search.query import STOP_WORDS, stem


class PlainBM25:
    """Robertson's BM25 over the stems of words that are no stop words; every caption is scored."""

    def __init__(self, captions: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        self.texts = [Counter(_stems(caption)) for caption in captions]
        self.holding = Counter(word for text in self.texts for word in text)
        self.k1, self.b = k1, b
        self.mean = sum(map(Counter.total, self.texts)) / len(self.texts)

    def scores(self, query: str) -> np.ndarray:
        """Of every caption, (N,)."""
        return np.array([self._score(set(_stems(query)), text) for text in self.texts])

    def _score(self, words: set[str], text: Counter[str]) -> float:
        length = self.k1 * (1 - self.b + self.b * text.total() / self.mean)
        return sum(
            self._weight(word) * text[word] * (self.k1 + 1) / (text[word] + length)
            for word in words
            if word in text
        )

    def _weight(self, word: str) -> float:
        holding = self.holding[word]
        return math.log(1 + (len(self.texts) - holding + 0.5) / (holding + 0.5))


def _stems(text: str) -> list[str]:
    return [stem(word) for word in re.findall(r"\w+", text.lower()) if word not in STOP_WORDS]


def nearest_scores(vectors: np.ndarray, query: np.ndarray, passing: np.ndarray) -> np.ndarray:
    """Cosines of every row, (N,), those that do not pass at -inf."""
    return np.where(passing, vectors @ query, -np.inf)
