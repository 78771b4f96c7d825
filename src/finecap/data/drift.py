"""How far data has moved from the data accepted before: the population stability index per feature.

PSI = sum over bins of (p - q) ln(p / q), of shares p now and q before (Siddiqi, "Credit Risk
Scorecards", 2006): below 0.1 nothing moved, above 0.2 it is worth a look. Bins are the tenths of
the earlier data; words are bins of their own. What stays out: what to do about it.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

FEATURES = ("caption_count", "longest_words", "shortest_words", "short_side", "aspect", "spread")
WORDS = "vocabulary"
SPLITS = "split"
_BINS = 10
_WORDS = 500  # that have a bin of their own
_SAMPLED = 50_000  # records whose words are counted, evenly spaced
_LEAST = 1e-4  # share of an empty bin
_REST = "*"


@dataclass(frozen=True)
class Distribution:
    """Shares by bin: of a number, with the bins' inner edges, or of names."""

    shares: dict[str, float]
    edges: list[float] | None = None


def distributions(
    table: pd.DataFrame, before: Mapping[str, Distribution] | None = None
) -> dict[str, Distribution]:
    """Of each feature of a records table, in the bins of `before` where it is given."""
    found: dict[str, Distribution] = {}
    for feature in FEATURES:
        values = table[feature].dropna().to_numpy(dtype=float)
        earlier = (before or {}).get(feature)
        if values.size and (before is None or earlier):
            found[feature] = _numbers(values, earlier.edges if earlier else None)
    if len(table):
        found[SPLITS] = Distribution(_shares(Counter(map(str, table["split"]))))
        found[WORDS] = _words(table["text"], (before or {}).get(WORDS))
    return found


def psi(now: Distribution, before: Distribution) -> float:
    """The population stability index, 0 or more."""
    total = 0.0
    for name in now.shares.keys() | before.shares.keys():
        p = max(now.shares.get(name, 0.0), _LEAST)
        q = max(before.shares.get(name, 0.0), _LEAST)
        total += (p - q) * math.log(p / q)
    return total


def moved(table: pd.DataFrame, accepted: Path) -> dict[str, float]:
    """The index of each feature against the distributions in the file `accepted`."""
    before = read(accepted)
    now = distributions(table, before)
    return {feature: psi(now[feature], before[feature]) for feature in now if feature in before}


def write(path: Path, found: Mapping[str, Distribution]) -> None:
    """Write distributions as JSON."""
    content = {feature: asdict(distribution) for feature, distribution in found.items()}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Distribution]:
    """The distributions in a file of `write`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {feature: Distribution(**fields) for feature, fields in content.items()}


def _numbers(values: np.ndarray, edges: Sequence[float] | None) -> Distribution:
    if edges is None:
        tenths = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1])
        edges = [float(edge) for edge in np.unique(tenths)]
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    shares = {str(place): float(n) / len(values) for place, n in enumerate(counts)}
    return Distribution(shares, list(edges))


def _words(texts: pd.Series, before: Distribution | None) -> Distribution:
    """Shares of the commonest words, of those of `before` where it is given, and of the rest."""
    counts: Counter[str] = Counter()
    for text in texts.iloc[:: max(1, len(texts) // _SAMPLED)].dropna():
        counts.update(word.strip(".,;:!?\"'()/") for word in str(text).lower().split())
    counts.pop("", None)
    kept = before.shares.keys() if before else {word for word, _ in counts.most_common(_WORDS)}
    rest = sum(count for word, count in counts.items() if word not in kept)
    shares = Counter({word: counts[word] for word in kept if word != _REST})
    shares[_REST] = rest
    return Distribution(_shares(shares))


def _shares(counts: Counter[str]) -> dict[str, float]:
    total = counts.total() or 1
    return {name: count / total for name, count in sorted(counts.items())}
