"""The command `finecap export-index`: thin, what it writes is `finecap.export`'s."""

# typer.Option and typer.Argument have parts without types.
# pyright: reportUnknownMemberType=false

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

_ROOT = typer.Option(help="Folder that the index's image paths are in.")
_TO = typer.Argument(
    metavar="TO", help="A .json, .jsonl, .csv or .parquet file; a folder with --embed-captions."
)


def export_index(
    to: Annotated[Path, _TO],
    *,
    embed: Annotated[
        bool,
        typer.Option("--embed-captions", help="Copy images, captions in their XMP and EXIF."),
    ] = False,
    root: Annotated[
        Path, typer.Option(help="Folder that the index's image paths are in.")
    ] = Path(),
) -> None:
    """Write the live index as a table, or its captions into copies of the images."""
    from finecap.export.embed import embed_captions
    from finecap.export.table import all_rows, check_suffix, write_table
    from finecap.log import print_log
    from finecap.search.engines import open_index
    from finecap.search.searcher import INDEX, load_live_manifest

    if not embed:
        check_suffix(to)
    home = Path(os.environ.get("FINECAP_HOME") or "var")
    manifest = load_live_manifest(home)
    rows = all_rows(open_index(home / INDEX), manifest)
    if not embed:
        typer.echo(f"{to}: {write_table(rows, to)} images of build {manifest.build_id}")
        return
    done = embed_captions(rows, root, to, print_log)
    for image, reason in done.skipped:
        sys.stderr.write(f"finecap: {image} skipped: {reason}\n")
    typer.echo(f"{to}: {done.written} images with their captions, {len(done.skipped)} skipped")
