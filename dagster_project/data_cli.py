"""`finecap data`: versions of the data set, which need DVC. Thin: parse, call, print.

They join the command line by the entry-point group `finecap.commands`. Heavy imports are inside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.home import home_of, profile_in

if TYPE_CHECKING:
    from dagster_project.revisions import Difference

data = typer.Typer(help="Versions of the data set.", no_args_is_help=True)


@data.callback()
def group() -> None:
    """Versions of the data set."""


@data.command()
def diff(
    revision: Annotated[str, typer.Argument(metavar="REV", help="As git names it: HEAD~1, a tag.")],
    *,
    to: Annotated[
        str | None, typer.Option(help="A later revision; by default the folder as it lies.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--data", help="Data folder; by default the profile's.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows shown of each kind of change.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say what changed in the data since a revision: images, captions, moves between splits."""
    from dagster_project.revisions import as_json as json_of
    from dagster_project.revisions import at_revision, difference, in_work_tree
    from finecap.config import load_profile

    profile = load_profile(profile_in())
    root = home_of(profile.name).root
    chosen = root / profile.data.folder if folder is None else folder
    before = at_revision(root, chosen, revision)
    after = in_work_tree(chosen) if to is None else at_revision(root, chosen, to)
    found = difference(before, after)
    if as_json:
        typer.echo(json_of(found))
        return
    for line in lines(found, limit):
        typer.echo(line)


@data.command(name="of")
def of_(
    version: Annotated[str, typer.Argument(help="Number of a captioner's version, or champion.")],
    *,
    images: Annotated[bool, typer.Option("--images", help="Name every image, with md5.")] = False,
) -> None:
    """Say on which data a captioner was trained: md5, commits, and, when asked, each image."""
    from dagster_project.by_hand import Desk
    from dagster_project.revisions import at_revision, revisions_of
    from finecap.cli import UsageError
    from finecap.config import load_profile

    profile = load_profile(profile_in())
    desk = Desk(home_of(profile.name))
    known = desk.registry.versions()
    number = desk.registry.champion if version == "champion" else version.removeprefix("v")
    if number not in known:
        there = ", ".join(f"v{one}" for one in known)
        raise UsageError(f"no version {version}, expected champion or one of {there}")
    tags, root = known[number].tags, desk.home.root
    md5 = tags["data_md5"]
    commits = revisions_of(root, root / profile.data.pointer, md5)
    typer.echo(f"model  v{number} ({tags['variant']})\nmd5    {md5}")
    for commit in commits or [f"none: no commit of {profile.data.pointer} names this md5"]:
        typer.echo(f"commit {commit}")
    if not images:
        return
    if not commits:
        raise UsageError(f"v{number}: without a commit its images cannot be looked up")
    then = at_revision(root, root / profile.data.folder, commits[0].partition(" ")[0])
    for image, record in then.records.items():
        typer.echo(f"{image}\t{record.split}\t{then.md5s.get(image, '')}")


def lines(found: "Difference", limit: int) -> Iterator[str]:
    """What changed, for people."""
    kinds = [
        ("images added", found.images_added),
        ("images removed", found.images_removed),
        ("images changed", found.images_changed),
        ("captions added", _pairs(found.captions_added)),
        ("captions removed", _pairs(found.captions_removed)),
        ("split moves", [f"{i}: {a} -> {b}" for i, (a, b) in found.split_moves.items()]),
    ]
    for title, rows in kinds:
        yield f"{title:<17} {len(rows)}"
        yield from (f"    {row}" for row in rows[:limit])
        if len(rows) > limit > 0:
            yield f"    ... and {len(rows) - limit} more"


def _pairs(captions: dict[str, list[str]]) -> list[str]:
    return [f"{image}: {caption}" for image, all_ in captions.items() for caption in all_]
