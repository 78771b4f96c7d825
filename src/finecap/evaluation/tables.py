"""The leaderboard as tables: which columns stand together, what a cell says, which is best.

One layout for Markdown and HTML, so that both show the same numbers. What is not here: files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from finecap.evaluation.labels import better, label, ordered
from finecap.evaluation.results import Measured, Metric, is_measured, reason_absent

Table = Mapping[str, Mapping[str, Metric]]
"""Metrics of one split by variant."""

SUMMARY = (
    "judge_t2i_r1",
    "cider",
    "background_recall",
    "colour_recall",
    "size_recall",
    "grammatical_rate",
    "repetition_rate",
)
"""What a reader compares first: detail by the judge, likeness, details named, fluency."""

GROUPS = {
    "Detail: is the image found by its caption?": (
        "judge_t2i_r1",
        "judge_t2i_r5",
        "judge_t2i_r10",
        "judge_t2i_median_rank",
        "judge_i2t_r1",
        "t2i_r1",
        "i2t_r1",
        "judge_clip_s",
        "clip_s",
    ),
    "Detail: are the facts in the image named, and rightly?": (
        "object_recall",
        "background_recall",
        "colour_recall",
        "size_recall",
        "relation_recall",
        "second_object_colour_recall",
        "colour_precision",
        "size_precision",
        "relation_precision",
        "second_object_colour_precision",
    ),
    "Fluency": (
        "grammatical_rate",
        "grammar_head_rate",
        "grammar_head_rate_references",
        "repetition_rate",
        "stutter_rate",
        "repeated_3gram_rate",
        "bad_ending_rate",
        "mean_length",
        "vocabulary",
        "distinct_1",
        "distinct_2",
    ),
    "Likeness to the references": (
        "cider",
        "bleu_4",
        "rouge_l",
        "meteor",
        "spice",
        "judge_ref_clip_s",
        "ref_clip_s",
    ),
}


PLACES = ((10.0, 3), (100.0, 1), (math.inf, 0))
"""Decimals of a value below each limit."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One score as a reader sees it."""

    value: str
    interval: str  # "" where there is none
    is_best: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One table: columns that answer one question."""

    title: str
    columns: tuple[str, ...]  # metric names
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]  # variant, its cells


def summary(table: Table) -> Block:
    """The one table that a reader compares first."""
    return _block(table, "Summary", SUMMARY)


def blocks(table: Table) -> list[Block]:
    """The tables of a leaderboard; one without any value is left out."""
    found = [_block(table, title, metrics) for title, metrics in GROUPS.items()]
    return [block for block in found if block.columns]


def absences(table: Table) -> list[str]:
    """Metrics that no variant has, each with its reason: `METEOR: not computed: needs Java`."""
    reasons: dict[str, str] = {}
    for metrics in table.values():
        for name, metric in metrics.items():
            if not any(_measured(table, v, name) for v in table):
                reasons.setdefault(name, reason_absent(metric))
    return [f"{label(name)}: {reason}" for name, reason in sorted(reasons.items())]


def markdown(table: Table) -> str:
    """All tables as GitHub-flavoured Markdown, best scores in bold."""
    return "\n".join(markdown_of(block) for block in (summary(table), *blocks(table)))


def markdown_of(block: Block) -> str:
    """One table as GitHub-flavoured Markdown, its title above it."""
    return "\n".join(_markdown_lines(block))


def brief(block: Block) -> str:
    """The table without title and intervals, for places that show little text."""
    rows = [(v, *(_emphasised(cell) for cell in cells)) for v, cells in block.rows]
    head = ["variant", *(label(m) for m in block.columns)]
    return "\n".join(_row(cells) for cells in (head, ["---"] * len(head), *rows))


def _markdown_lines(block: Block) -> Iterator[str]:
    yield f"### {block.title}\n"
    yield _row(["variant", *(label(m) for m in block.columns)])
    yield _row([":---", *("---:" for _ in block.columns)])
    for variant, cells in block.rows:
        yield _row([f"`{variant}`", *(_markdown_cell(cell) for cell in cells)])
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    return f"{_emphasised(cell)} {cell.interval}".rstrip()


def _emphasised(cell: Cell) -> str:
    return f"**{cell.value}**" if cell.is_best else cell.value


def _block(table: Table, title: str, metrics: Sequence[str]) -> Block:
    """The table of these metrics; a column without any value is left out."""
    columns = tuple(m for m in metrics if any(_measured(table, v, m) for v in table))
    best = {m: _best(table, m) for m in columns}
    rows = tuple(
        (v, tuple(_cell(_measured(table, v, m), v in best[m]) for m in columns))
        for v in ordered(table)
    )
    return Block(title, columns, rows)


def _measured(table: Table, variant: str, name: str) -> Measured | None:
    metric = table[variant].get(name)
    return metric if metric is not None and is_measured(metric) else None


def _best(table: Table, name: str) -> set[str]:
    """Variants with the best value as printed; none where no direction is better, or all tie."""
    values = {v: round(m["value"], 3) for v in table if (m := _measured(table, v, name))}
    all_tie = len(values) > 1 and len(set(values.values())) == 1
    direction = better(name)
    if direction == "neither" or not values or all_tie:
        return set()
    best = min(values.values()) if direction == "lower" else max(values.values())
    return {v for v, value in values.items() if value == best}


def _cell(metric: Measured | None, is_best: bool) -> Cell:
    if metric is None:
        return Cell("n/a", "", False)
    value, low, high = (_shown(metric[key]) for key in ("value", "ci_low", "ci_high"))
    return Cell(value, f"[{low}, {high}]", is_best)


def _shown(value: float) -> str:
    """Rates to three decimals; lengths and counts, which exceed 1 by far, as they are read."""
    decimals = next(places for limit, places in PLACES if value < limit)
    return f"{value:.{decimals}f}"
