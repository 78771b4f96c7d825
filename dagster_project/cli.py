"""Commands of `finecap` that need the pipeline's packages: who is champion, and a person's word.

They join the command line by the entry-point group `finecap.commands`, because the library, and the
image that only searches, know nothing of MLflow. Thin: parse, call, print. Whatever is heavy is
imported inside, so that `finecap --help` answers at once.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.history import named
from dagster_project.home import home_of, profile_in

if TYPE_CHECKING:
    from dagster_project.by_hand import Desk, Moved

Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
Reindex = Annotated[bool, typer.Option("--reindex", help="Caption and index with it at once.")]


class MissingPipelineError(RuntimeError):
    """A package of the extra `pipeline` is not installed."""


def promote(
    version: Annotated[str, typer.Argument(help="Number of a version, or `challenger`.")],
    *,
    reason: Reason = "",
    force: Annotated[bool, typer.Option("--force", help="Over all objections.")] = False,
    reindex: Reindex = False,
) -> None:
    """Make a registered captioner champion; the pipeline keeps it until it trains a better one."""
    desk = _desk()
    _end(desk, desk.promote(version, reason, force=force), reindex)


def rollback(*, reason: Reason = "", reindex: Reindex = False) -> None:
    """Make the champion before today's champion again; several times in a row go further back."""
    desk = _desk()
    _end(desk, desk.rollback(reason), reindex)


def champion(
    *,
    history: Annotated[bool, typer.Option("--history", help="Every move, newest first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say who is champion, since when, by whom and why, and whether it is what is searched."""
    desk = _desk()
    from dagster_project.indexing import searched_version

    found = desk.described(searched_version(desk.home))
    moves = list(reversed(desk.registry.history())) if history else []
    if as_json:
        rows = {"history": [asdict(move) for move in moves]} if history else {}
        typer.echo(json.dumps({**found, **rows}, ensure_ascii=False))
        return
    for key, value in found.items():
        is_version = key in {"champion", "before", "searched"}
        typer.echo(f"{key:<10} {named(value) if is_version else value or '-'}")
    for move in moves:
        typer.echo(move.line)


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Examine installation, profile, stores and index; say what is wrong and what mends it."""
    from dagster_project.doctor import examined
    from finecap.config import load_profile

    profile = load_profile(profile_in())
    found = list(examined(home_of(profile.name), profile))
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in found]}))
    for finding in [] if as_json else found:
        typer.echo(f"{finding.state:<5} {finding.name:<12} {finding.said}")
        if finding.fix:
            typer.echo(f"{'':<18} -> {finding.fix}")
    if any(finding.state == "fail" for finding in found):
        raise typer.Exit(1)


def _desk() -> "Desk":
    """The registry of the home that the environment names.

    Raises:
        MissingPipelineError: what it needs is not installed.
    """
    from finecap.config import load_profile

    try:
        from dagster_project.by_hand import Desk
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MissingPipelineError(
            f"{package} is not installed: this command needs the pipeline's packages, "
            "`pip install 'finecap[pipeline]'`"
        ) from error
    return Desk(home_of(load_profile(profile_in()).name))


def _end(desk: "Desk", moved: "Moved | None", reindex: bool) -> None:
    """Say what was done; do, or say, what comes next."""
    is_already = f"v{desk.registry.champion} is champion already: nothing moved"
    typer.echo(is_already if moved is None else moved.text)
    if not reindex:
        typer.echo(
            "next: captions and index follow with the next run (`make run`, or job `reindex` in "
            "Dagster); `--reindex` does it at once"
        )
        return
    from dagster_project.reindex import reindex as run_reindex

    run_reindex(desk.home)
