"""The README's results: a study's test metrics, mean and spread over seeds, one row per variant."""

from collections.abc import Mapping
from typing import Any

from finecap.evaluation.labels import LOWER_IS_BETTER, label, ordered
from finecap.evaluation.tables import SUMMARY as COLUMNS


def results(study: Mapping[str, Any], n: int) -> str:
    """The table in Markdown, with a line above it that says what was measured.

    Args:
        study: `reports/study.json`.
        n: test images that each value rests on.
    """
    variants, seeds = study["variants"], study["seeds"]
    said = f"Profile `{study['profile']}`, data md5 {study['data_md5'][:8]}, test split, n = {n}"
    over = f"mean ± standard deviation over {len(seeds)} seeds of the whole chain"
    above = f"{said}: {over if len(seeds) > 1 else f'one seed ({seeds[0]})'}."
    names = [name for name in COLUMNS if any(name in row for row in variants.values())]
    head = [f"{label(name)}{' ↓' if name in LOWER_IS_BETTER else ''}" for name in names]
    lines = [
        above,
        "",
        f"| variant | {' | '.join(head)} |",
        f"| :--- |{' ---: |' * len(names)}",
        *(
            f"| `{variant}` | {' | '.join(_cell(variants[variant].get(n)) for n in names)} |"
            for variant in ordered(variants)
        ),
    ]
    return "\n".join(lines)


def _cell(spread: Mapping[str, Any] | None) -> str:
    """Mean and, with several seeds, standard deviation; n/a where it is not measured."""
    if spread is None:
        return "n/a"
    if spread["sd"] is None:
        return f"{spread['mean']:.3f}"
    return f"{spread['mean']:.3f} ± {spread['sd']:.3f}"
