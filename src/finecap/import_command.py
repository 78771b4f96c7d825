"""`finecap import`: options, a progress bar. The work is in `data`.

What is heavy is imported inside, so that `finecap --help` answers at once.
"""

# typer.Option and typer.Argument have parts without types.
# pyright: reportUnknownMemberType=false

import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from finecap.log import Log, print_log


class SplitChoice(StrEnum):
    """Where splits come from."""

    own = "own"
    fill = "fill"
    new = "new"


class ColumnError(ValueError):
    """A `--column` that is no FIELD=NAME."""


def import_(
    kind: Annotated[
        str,
        typer.Argument(
            help="coco, karpathy, flickr8k, flickr30k, finecapeval, folder (a .txt beside each "
            "image), csv, jsonl, parquet, webdataset or huggingface."
        ),
    ],
    *,
    source: Annotated[Path, typer.Option(help="Folder or file it was handed out as.")],
    into: Annotated[Path, typer.Option(help="Data folder to write.")],
    link: Annotated[bool, typer.Option("--link", help="Link images instead of copying.")] = False,
    in_shards: Annotated[
        bool, typer.Option("--in-shards", help="Leave a webdataset's images in their tars.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write records as Parquet shards: millions of images.")
    ] = False,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of bad rows above which nothing changes.")
    ] = 0.01,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, if not the source.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=NAME of a table's column; fields: image, caption, split, alt_text."
        ),
    ] = None,
    splits: Annotated[
        SplitChoice,
        typer.Option(help="own: the source's; fill: those it lacks are drawn; new: all are drawn."),
    ] = SplitChoice.own,
    seed: Annotated[int, typer.Option(min=0, help="Of drawn splits.")] = 0,
) -> None:
    """Turn a foreign data set into a data folder: images and captions.jsonl."""
    from finecap.config import ImportConfig
    from finecap.data.importers import import_dataset

    config = ImportConfig(
        link=link,
        in_shards=in_shards,
        parquet=parquet,
        max_bad=max_bad,
        images=None if images is None else str(images),
        columns=columns_in(column or []),
        splits=splits.value,
        seed=seed,
    )
    with progress(sys.stderr.isatty()) as log:
        report = import_dataset(kind, source, into, log, config)
    bad = f", {report.bad} bad rows" if report.bad else ""
    sizes = ", ".join(f"{split} {count}" for split, count in report.by_split.items())
    typer.echo(f"{into}: {report.images} images ({sizes}){bad}; {into / 'import-report.html'}")


def columns_in(words: list[str]) -> dict[str, list[str]]:
    """Names of columns by field.

    >>> columns_in(["image=file", "caption=one", "caption=two"])
    {'image': ['file'], 'caption': ['one', 'two']}

    Raises:
        ColumnError: a word has no `=`.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        field, equals, name = word.partition("=")
        if not equals or not name:
            raise ColumnError(f"--column {word}: expected FIELD=NAME, such as --column image=file")
        found.setdefault(field, []).append(name)
    return found


@contextmanager
def progress(is_terminal: bool) -> Generator[Log]:
    """A log with a bar for what has `of`, on a terminal; lines elsewhere."""
    if not is_terminal:
        yield print_log
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task("images", total=None)

        def log(message: str, step: int | None = None, **metrics: float) -> None:
            if step is None:
                bars.console.print(message, markup=False, highlight=False)
            else:
                bars.update(task, completed=step, total=metrics.get("of"), description=message)

        yield log
