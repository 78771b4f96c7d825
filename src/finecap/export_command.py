"""The command `finecap export`: thin, what it writes is `finecap.export`'s and `finecap.data`'s."""

# typer.Option and typer.Argument have parts without types.
# pyright: reportUnknownMemberType=false

import sys
from pathlib import Path
from typing import Annotated

import typer

from finecap.home import home_folder

_TO = typer.Argument(
    metavar="TO",
    help="A .json, .jsonl, .csv or .parquet file; a folder with --embed-captions or --data.",
)


def export(
    to: Annotated[Path, _TO],
    *,
    embed: Annotated[
        bool,
        typer.Option("--embed-captions", help="Copy images, captions in their XMP and EXIF."),
    ] = False,
    root: Annotated[
        Path, typer.Option(help="Folder that the index's image paths are in.")
    ] = Path(),
    data: Annotated[
        Path | None, typer.Option(help="A data folder, as COCO's annotation files.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="With --data: captions by image, as results files; JSON.")
    ] = None,
) -> None:
    """Write the live index as a table or into its images, or a data folder as COCO does."""
    if data is None and captions is not None:
        raise typer.BadParameter("it goes with --data", param_hint="--captions")
    if data is None:
        _export_index(to, root, embed=embed)
    elif embed:
        raise typer.BadParameter("it is of the index, not of --data", param_hint="--embed-captions")
    else:
        _export_data(data, to, captions)


def _export_data(folder: Path, into: Path, captions: Path | None) -> None:
    """COCO's files of a data folder."""
    from finecap.data.caption_files import read_captions
    from finecap.data.coco_export import export_coco

    said = None if captions is None else read_captions(captions)
    for path in export_coco(folder, into, said):
        typer.echo(path)


def _export_index(to: Path, root: Path, *, embed: bool) -> None:
    """The live index: a table, or captions inside images."""
    from finecap.export.embed import embed_captions
    from finecap.export.table import all_rows, check_suffix, write_table
    from finecap.log import print_log
    from finecap.search.engines import open_index
    from finecap.search.searcher import INDEX, load_live_manifest

    if not embed:
        check_suffix(to)
    home = home_folder()
    manifest = load_live_manifest(home)
    rows = all_rows(open_index(home / INDEX), manifest)
    if not embed:
        typer.echo(f"{to}: {write_table(rows, to)} images of build {manifest.build_id}")
        return
    done = embed_captions(rows, root, to, print_log)
    for image, reason in done.skipped:
        sys.stderr.write(f"finecap: {image} skipped: {reason}\n")
    typer.echo(f"{to}: {done.written} images with their captions, {len(done.skipped)} skipped")
