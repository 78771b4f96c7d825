"""`python -m dagster_project.scale [--simulate | IMAGES ...]`: the cost, by measured slopes.

Paper, not a promise: each part's cost for one image more was measured (`make bench NAMES=scale`,
`greedy`, `scst_step`, `search`) at the sizes of profile `coco`, on one core of an AMD EPYC with
torch 2.13 for CPU, and is multiplied. What grows with the number of images is here; what a profile
fixes, as steps of training, is not. A GPU was not measured. `--simulate` shows instead what a fleet
of machines makes of captioning and indexing (`fleet`).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

SIZES = (1_000_000, 100_000_000)
_HOUR_S = 3600.0
_THOUSAND = 1000.0
_FEW = 10.0
"""Below it one decimal is shown."""

DECODE_S, ENCODE_IMAGE_S, ENCODE_TEXT_S = 0.0055, 0.1245, 0.0877
GREEDY_S = 1 / 48.2
STEP_S = 4.72 / 10
"""Of one image in a self-critical step, five samples of 20 tokens."""
FOLDER_ROW_S, FOLDER_ROW_BYTES = 0.000155, 1_177
DATABASE_ROW_S, DATABASE_ROW_BYTES = 0.00103, 3_342
WORDS_S, PICTURE_S = 0.0008 / 1e6, 0.0068 / 2e5
"""Of a query in the home folder's engine, for each row; words may take less than so."""
GRID_BYTES = 49 * 768 * 2
"""Of ViT-B/32, as float16."""


@dataclass(frozen=True)
class Part:
    """What is done to every image."""

    name: str
    seconds: float  # of one core, an image
    bytes: float  # kept, an image
    runs_on: str


PARTS = (
    Part(
        "`image_features`: decode, encode, keep the grid",
        DECODE_S + ENCODE_IMAGE_S,
        GRID_BYTES,
        "one process, a GPU if there is one",
    ),
    Part(
        "an epoch of `scst`: five samples an image",
        STEP_S,
        0,
        "`torchrun` on one machine",
    ),
    Part(
        "`captions`: decode, encode, say, encode what is said",
        DECODE_S + ENCODE_IMAGE_S + GREEDY_S + ENCODE_TEXT_S,
        0,
        "one process, a GPU if there is one",
    ),
    Part(
        "`caption_index` in the home folder", FOLDER_ROW_S, FOLDER_ROW_BYTES, "tantivy, flat files"
    ),
    Part("`caption_index` with HNSW", DATABASE_ROW_S, DATABASE_ROW_BYTES, "PostgreSQL, pgvector"),
)


def table(sizes: Sequence[int] = SIZES) -> str:
    """Core hours and bytes of every part, by number of images; and a query's wait."""
    heads = [f"{images:,} images" for images in sizes]
    lines = [f"| part | one image | {' | '.join(heads)} | runs on |", "|---|---:|"]
    lines[1] += "---:|" * len(sizes) + "---|"
    for part in PARTS:
        costs = " | ".join(cost(part, images) for images in sizes)
        lines.append(f"| {part.name} | {_short(part.seconds)} | {costs} | {part.runs_on} |")
    for name, seconds in (("a query by words", WORDS_S), ("a query by picture", PICTURE_S)):
        waits = " | ".join(_short(seconds * images) for images in sizes)
        lines.append(f"| {name}, home folder | | {waits} | one core |")
    return "\n".join(lines)


def cost(part: Part, images: int) -> str:
    """Core hours, and what is kept."""
    hours = f"{_number(part.seconds * images / _HOUR_S)} core hours"
    return f"{hours}, {_size(part.bytes * images)}" if part.bytes else hours


def _short(seconds: float) -> str:
    """Seconds, or milliseconds below one."""
    milliseconds = seconds * _THOUSAND
    small = f"{milliseconds:.0f}" if milliseconds >= _FEW else f"{milliseconds:.2g}"
    return f"{small} ms" if seconds < 1 else f"{_number(seconds)} s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _FEW else f"{value:.2g}"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < _THOUSAND:
            return f"{_number(number)} {unit}"
        number /= _THOUSAND
    return f"{_number(number)} TB"


def main() -> int:
    """Print a table."""
    words = sys.argv[1:]
    if words == ["--simulate"]:
        from dagster_project import fleet

        sys.stdout.write(f"{fleet.table()}\n")
        return 0
    sizes = tuple(int(float(word)) for word in words) or SIZES
    sys.stdout.write(f"{table(sizes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
