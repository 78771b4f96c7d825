"""How likely a sentence is by the n-grams of a corpus: an interpolated Witten-Bell model.

Why this one: its estimate needs neither held-out data nor counts of counts, which a corpus of a few
hundred distinct sentences lacks (Kneser-Ney's discounts come from them), and every word has a
positive probability. What stays out: neural language models, and what is made of a probability.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from finecap.metrics.ptb import tokenise

_START, _END = "<s>", "</s>"
Context = tuple[str, ...]


class _Followers(NamedTuple):
    """What came after a context."""

    counts: dict[str, int]
    total: int
    types: int  # distinct words


class NgramModel:
    """Probabilities of words after up to `order - 1` others, lower orders mixed in.

        p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h))

    with c the count, t(h) the number of distinct words seen after h, h' the context h without its
    first word, and 1 / (V + 1) below the unigram: V words, the sentence's end among them, and one
    for all unknown words. A context never seen leaves p(w | h').

    Source: Witten and Bell 1991, method C; interpolated as in Chen and Goodman 1998 ("An Empirical
    Study of Smoothing Techniques for Language Modeling", TR-10-98), section 2.5.

    Args:
        sentences: the corpus, raw; a sentence that comes twice counts twice.
        order: n of the longest n-gram.

    Raises:
        ValueError: no sentence has a word, or an order below 1.
    """

    def __init__(self, sentences: Iterable[str], order: int) -> None:
        if order < 1:
            raise ValueError(f"expected a language model of order 1 or more; came {order}")
        self.order = order
        counts: dict[Context, Counter[str]] = {}
        for sentence in sentences:
            line = [*self._padding, *tokenise(sentence), _END]
            for at in range(order - 1, len(line)):
                for length in range(order):
                    context = tuple(line[at - length : at])
                    counts.setdefault(context, Counter())[line[at]] += 1
        if len(counts.get((), ())) < 2:  # noqa: PLR2004  the end is one
            raise ValueError("a language model needs a sentence of at least one word; came none")
        self._after = {
            context: _Followers(dict(own), own.total(), len(own)) for context, own in counts.items()
        }
        self._base = 1 / (len(counts[()]) + 1)  # 1 / (V + 1)

    def probability(self, word: str, context: Sequence[str]) -> float:
        """p(word | context); of the context the last `order - 1` words count, `<s>` included."""
        probability = self._base
        for length in range(min(self.order, len(context) + 1)):
            followers = self._after.get(tuple(context[len(context) - length :]))
            if followers is None:  # nor was any longer context seen
                break
            counts, total, types = followers
            probability = (counts.get(word, 0) + types * probability) / (total + types)
        return probability

    def mean_log_prob(self, sentence: str) -> float:
        """Mean of log p over the sentence's words and its end, in nats; at most 0."""
        line = [*self._padding, *tokenise(sentence), _END]
        start = len(self._padding)
        logs = [
            math.log(self.probability(line[at], line[at - start : at]))
            for at in range(start, len(line))
        ]
        return math.fsum(logs) / len(logs)

    @property
    def _padding(self) -> list[str]:
        return [_START] * (self.order - 1)
