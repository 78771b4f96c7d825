"""METEOR 1.5 as coco-caption computes it, by the authors' Java program.

The program aligns a caption with its references and says what it counted; here stands the formula
that makes a score of counts. Counts add up: METEOR of a corpus is the formula of their sums, *not*
the mean of its images' scores, and that is what coco-caption reports. So a resample of images has a
score too, as BLEU's has (`bleu.py`). What stays out: tokenising (`ptb.py`), running programs
(`java.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finecap.metrics.java import UnavailableError, conversation, find_java, find_program

_JAR = "meteor-1.5.jar"
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # tuned for English, task "rank"
_MODULES = np.array([1.0, 0.6, 0.8, 0.6])  # weights of exact, stem, synonym, paraphrase matches
_COUNTS = 23

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeteorStatistics:
    """What METEOR counts, per image, against the reference that scores best."""

    counts: Array
    """(N, 23): words of caption and reference, function words of both; for each of 4 modules the
    content words matched in caption and reference, and the function words; chunks, 0 where the
    caption is the reference; words matched in caption and reference."""

    def scores(self, weights: Array | None = None) -> Array:
        """METEOR of the corpus in which image i counts `weights[i]` times.

        Args:
            weights: (S, N), one row a resample; None counts every image once.

        Returns:
            (S,), or () without weights; in [0, 1].
        """
        if weights is None:
            return _score(self.counts.sum(axis=0))
        return _score(weights @ self.counts)

    def per_image(self) -> Array:
        """METEOR of each image, (N,); their mean is not the corpus' score."""
        return _score(self.counts)


def statistics(
    references: Sequence[Sequence[str]], candidates: Sequence[str], timeout_s: float
) -> MeteorStatistics:
    """Aligns each candidate with its references.

    Source: Denkowski & Lavie 2014; pycocoevalcap 1.2, `meteor.py`, and the jar it runs.

    Args:
        references: N images, each with its references, tokens joined by spaces.
        candidates: N captions, tokens joined by spaces.
        timeout_s: seconds for all of it, some 5 of which the program takes to start.

    Raises:
        UnavailableError: there is no Java, no pycocoevalcap, or the program failed.
    """
    jar = find_program("meteor", _JAR)
    with conversation("METEOR", _command(jar), jar.parent, timeout_s) as ask:
        rows = [
            _counts(ask(_question(own, candidate)), candidate)
            for own, candidate in zip(references, candidates, strict=True)
        ]
    counts = np.array(rows, dtype=np.float64).reshape(len(rows), _COUNTS)
    return MeteorStatistics(without_whole_chunks(counts))


def without_whole_chunks(counts: Array) -> Array:
    """The program's counts (N, 23), with no chunk where a caption is its reference word for word.

    Such a caption is not fragmented, and neither does the program count it so in a corpus.
    """
    is_whole = (counts[:, 21:23] == counts[:, 0:2]).all(axis=1) & (counts[:, 20] == 1)
    corrected = counts.copy()
    corrected[is_whole, 20] = 0
    return corrected


def _command(jar: Path) -> Sequence[str]:
    """coco-caption's, but for the encoding, which it leaves to the locale: need not be UTF-8."""
    options = ("-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", jar.name)
    return find_java(), *options, "-", "-", "-stdio", "-l", "en", "-norm"


def _question(references: Sequence[str], candidate: str) -> str:
    said = candidate.replace("|||", "").replace("  ", " ")
    return " ||| ".join(["SCORE", *references, said])


def _counts(answer: str, candidate: str) -> list[float]:
    try:
        counts = [float(number) for number in answer.split()]
    except ValueError:
        counts = []
    if len(counts) != _COUNTS:
        raise UnavailableError(
            f"METEOR answered {answer[:100]!r} about {candidate[:100]!r}; expected {_COUNTS} counts"
        )
    return counts


def _score(counts: Array) -> Array:
    """The score of counts (..., 23): a weighted F-measure, less for words in scattered chunks.

    (1 - gamma (chunks / matches)^beta) * P R / (alpha P + (1 - alpha) R), with function words
    counting 1 - delta of a word, content words delta. Denkowski & Lavie 2014, section 2.
    """
    words, function_words = counts[..., 0:2], counts[..., 2:4]  # (..., 2): caption, reference
    modules = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 2, 2)
    content, function = np.einsum("...mkt,m->k...t", modules, _MODULES)  # (..., 2) each
    chunks, matched = counts[..., 20], counts[..., 21:23]
    found = _DELTA * content + (1 - _DELTA) * function
    weighed = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    precision, recall = np.moveaxis(_ratio(found, weighed), -1, 0)
    mean = _ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragmentation = _ratio(chunks, matched.mean(axis=-1))
    return mean * (1 - _GAMMA * fragmentation**_BETA)


def _ratio(above: Array, below: Array) -> Array:
    """Above / below, 0 where nothing is below."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
