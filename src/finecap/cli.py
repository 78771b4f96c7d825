"""The command `finecap`: what needs the library alone. Thin: parse, call, print.

Commands that need MLflow, DVC or Dagster join from elsewhere by the entry-point group
`finecap.commands` (a typer app, or a function that becomes a command), so that an image for search
can be without them. Everything heavy is imported inside the commands: `finecap --help` answers at
once. stdout carries results only; progress and errors go to stderr. Exit code 1: it could not be
done in this state; 2: what was asked is wrong.
"""

# typer.Option and typer.Argument have parts without types.
# pyright: reportUnknownMemberType=false

import inspect
import json
import sys
from dataclasses import asdict
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer
from click import Command
from typer.models import ArgumentInfo

from finecap.export_command import export
from finecap.home import home_folder
from finecap.import_command import import_
from finecap.score_command import score
from finecap.serve_command import serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from finecap.search.index import Hit

PLUGINS = "finecap.commands"

app = typer.Typer(
    help="Train captioners that say what is distinctive, and find images by what they say.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
profile_app = typer.Typer(help="Profiles: the settings of all stages.", no_args_is_help=True)
app.add_typer(profile_app, name="profile")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


class SearchMode(StrEnum):
    """What a search ranks by."""

    hybrid = "hybrid"
    words = "words"
    picture = "picture"


class UsageError(ValueError):
    """What was asked on the command line cannot be right."""


_WRONG_QUESTION = (
    "UsageError",
    "QueryError",
    "ProfileError",
    "ColumnError",
    "FileNotFoundError",
    "ExportError",
    "TokenError",
)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='Words and conditions: "boat colour:red".')],
    *,
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Hits shown.")] = 10,
    mode: Annotated[SearchMode, typer.Option(help="Rank by.")] = SearchMode.hybrid,
) -> None:
    """Find images by what their captions say and by what they show."""
    from finecap.search.searcher import Searcher

    searcher = Searcher.open(home_folder())
    hits = searcher.search(query, limit=limit, mode=mode.value)
    if as_json:
        _print_json({"hits": [asdict(hit) for hit in hits], "build": searcher.manifest.build_id})
    else:
        _print_hits(hits)


@app.command()
def caption(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Files, members of a tar (0.tar/1.jpg), tars."),
    ],
    *,
    as_json: Json = False,
    beams: Annotated[int, typer.Option(min=1, help="Beams followed; 1: greedy.")] = 1,
    samples: Annotated[int, typer.Option(min=0, help="Captions drawn of each image.")] = 0,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of samples.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0, help="Of samples: nucleus.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Of samples.")] = 0,
) -> None:
    """Caption images with the captioner of the live index: the best caption, or several samples."""
    from finecap.data.image_files import images_at

    found, missing = list[Path](), list[str]()
    for path in images:
        try:
            found += images_at(path)
        except (FileNotFoundError, IsADirectoryError) as error:
            is_in_tar = any(parent.suffix == ".tar" for parent in (path, *path.parents))
            missing.append(str(error) if is_in_tar else str(path))
    if missing:
        raise UsageError(f"no such image: {'; '.join(missing)}")
    if samples and beams > 1:
        raise UsageError(f"--beams {beams} finds one caption, --samples {samples} several: use one")
    from finecap.models.captions import Beams, Draws
    from finecap.models.export import load_pair
    from finecap.search.searcher import load_live_manifest, verified_export

    home = home_folder()
    model = load_pair(verified_export(home, load_live_manifest(home).captioner))
    if samples:
        how = Draws(samples, temperature=temperature, top_p=top_p, seed=seed)
        captions = model.draw_captions(found, how)
    else:
        captions = [[said] for said in model.caption_images(found, how=Beams(beams))]
    pairs = [
        (str(image), said) for image, of_image in zip(found, captions, strict=True)
        for said in of_image
    ]  # fmt: skip
    if as_json:
        _print_json({"captions": [{"image": image, "caption": said} for image, said in pairs]})
        return
    for image, said in pairs:
        typer.echo(f"{image}\t{said}")


@app.command()
def draw(
    into: Annotated[Path, typer.Argument(help="Folder to draw into.")],
    *,
    profile: Annotated[str, typer.Option(help="Whose world.")] = "scenes",
) -> None:
    """Draw the default world: images, captions and facts, the same bytes on every machine."""
    from finecap.config import load_profile

    config = load_profile(profile).data  # before the imports that take a moment
    from finecap.data.scenes import draw_world
    from finecap.log import print_log

    draw_world(into, config, print_log)


app.command(name="import")(import_)
app.command()(export)
app.command()(score)
app.command()(serve)


@profile_app.command(name="list")
def list_profiles() -> None:
    """Print the names of the built-in profiles."""
    from finecap.config import profile_names

    for name in profile_names():
        typer.echo(name)


@profile_app.command(name="show")
def show_profile(
    name: Annotated[str, typer.Argument(help="Built-in name, or path of a .yaml file.")],
) -> None:
    """Print every field of a profile with its value and where that is from, as YAML."""
    from finecap.config import load_profile, profile_sources

    values = load_profile(name).model_dump(mode="json")
    typer.echo("\n".join(_with_sources(values, profile_sources(name))))


def _with_sources(
    values: "Mapping[str, Any]",
    sources: "Mapping[tuple[str, ...], str]",
    above: tuple[str, ...] = (),
) -> "Iterator[str]":
    """Lines of YAML, each field with the profile that sets it as a comment."""
    import yaml

    for key, value in values.items():
        path, indent = (*above, key), "  " * len(above)
        if isinstance(value, dict) and above in {(), ("scst",)}:  # a stage, or a variant of one
            yield f"{indent}{key}:"
            yield from _with_sources(cast("dict[str, Any]", value), sources, path)
            continue
        found = {source: None for at, source in sources.items() if at[: len(path)] == path}
        text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20)
        text = f"{key}: {text.strip().removesuffix('...').strip()}"
        yield f"{indent}{text}  # {', '.join(found) or 'default'}"


def add_plugins(to: typer.Typer) -> None:
    """Add what installed packages offer in the group `finecap.commands`, in order of name."""
    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        offered = entry.load()
        if isinstance(offered, typer.Typer):
            to.add_typer(offered, name=entry.name)
        else:
            to.command(name=entry.name)(offered)


def main() -> None:
    """Run the command line; errors we foresaw become one line on stderr."""
    add_plugins(app)
    command = typer.main.get_command(app)
    tell_arguments(command)
    try:
        command()
    except Exception as error:
        if not _foreseen(error):
            raise
        line = " ".join(str(error).split())
        sys.stderr.write(f"finecap: {line}\n")
        raise SystemExit(2 if type(error).__name__ in _WRONG_QUESTION else 1) from None


def tell_arguments(command: Command) -> None:
    """Give a command's arguments, and those below it, the help that their annotations have.

    click from 8.5 on has a help of its own there, and sets typer's to nothing.
    """
    for inner in getattr(command, "commands", {}).values():
        tell_arguments(inner)
    if command.callback is None:
        return
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    for argument in command.params:
        for told in getattr(hints.get(argument.name or ""), "__metadata__", ()):
            if isinstance(told, ArgumentInfo):
                cast(Any, argument).help = told.help


def _foreseen(error: Exception) -> bool:
    """Whether the error is one of our own, whose message says what to do."""
    own = type(error).__module__.partition(".")[0] in {"finecap", "dagster_project"}
    return own or isinstance(error, FileNotFoundError)


def _print_json(result: dict[str, Any]) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False))


def _print_hits(hits: "list[Hit]") -> None:
    """A table of hits; captions are printed as they are, never read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not hits:
        sys.stderr.write("finecap: nothing found\n")
        return
    table = Table("#", "score", "caption", "words", "picture", "image", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for place, hit in enumerate(hits, start=1):
        said = Text(hit.caption)
        said.highlight_words(hit.matched_words, "bold", case_sensitive=True)
        scores = [_number(hit.bm25_score, 2), _number(hit.vector_score, 3)]
        row = [str(place), f"{hit.score:.4f}", said, *scores, Text(hit.path)]
        table.add_row(*row)
    Console().print(table)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
