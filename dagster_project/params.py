"""A stage's settings as MLflow's parameters: flat, so that runs line up and charts can draw them.

A nested setting is a dotted name. Reward weights are complete and numbers: a term that a run does
not weigh is there as 0, which is what leaving it out means. What they begin at, `start_weights` in
the settings, is `weights_at_start`, of every term: MLflow's compare page draws the first three
parameters that differ, by the alphabet, and what tells rewards apart is `weights`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WEIGHTS, START = "weights", "start_weights"
AT_START = "weights_at_start"


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Text by dotted name.

    >>> flat({"lr": 0.1, "mle": {"bf16": True, "pretrained": None}, "splits": ["val", "test"]})
    {'lr': '0.1', 'mle.bf16': 'true', 'mle.pretrained': 'none', 'splits': 'val, test'}
    """
    return {name: _text(value) for name, value in _leaves(_complete(config))}


def _complete(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings with a weight for every reward term there is, where they weigh any."""
    if WEIGHTS not in config:
        return config
    from finecap.rewards.registry import BUILT_IN

    given, start = config[WEIGHTS], config.get(START, {})
    terms = sorted({*BUILT_IN, *given})
    weights = {term: float(given.get(term, 0.0)) for term in terms}
    others = {name: value for name, value in config.items() if name not in {WEIGHTS, START}}
    at_start = {term: float(start.get(term, weights[term])) for term in terms}
    return {WEIGHTS: weights, AT_START: at_start, **others}


def _leaves(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting that is not itself settings, by dotted name."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _text(value: object) -> str:
    """A setting as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(item) for item in value)
    return "" if isinstance(value, Mapping) else str(value)
