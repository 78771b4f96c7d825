"""`python -m dagster_project.docs`: the README's generated blocks, as `make docs` writes them.

A block lies between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; what it says comes from the code
alone: the asset graph, the command line, the profile's stages, the metrics, the end of a run, sums
for many images, a simulated fleet. A test compares, so that the README cannot fall behind. The
block of measured results is written by `make study`, everything outside blocks by people.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import typer

from dagster_project import fleet, run, scale
from dagster_project.definitions import all_assets
from dagster_project.home import DEFAULT_PROFILE, Home
from finecap import cli
from finecap.config import Profile, Stage, load_profile
from finecap.evaluation import definitions

README = Path(__file__).resolve().parent.parent / "README.md"


class BlockError(ValueError):
    """A README without a block that is generated, or with one that does not end."""


def assets() -> str:
    """Every asset of the default profile, in the order in which the graph is built."""
    rows = [
        f"| {asset.group_names_by_key[key]} | `{key.to_user_string()}` "
        f"| {asset.descriptions_by_key[key]} |"
        for asset in all_assets(load_profile(DEFAULT_PROFILE))
        for key in asset.keys
    ]
    return "\n".join(["| group | asset | what it is |", "|---|---|---|", *rows])


def commands() -> str:
    """Every command with its arguments, and the first line of its help."""
    lines = [line for words, command in _leaves() for line in _usage(words, command)]
    return "\n".join(["```text", *lines, "```"])


def settings() -> str:
    """Every stage of a profile, and what it settles."""
    rows: list[str] = []
    for name, field in Profile.model_fields.items():
        found = [t for t in (field.annotation, *get_args(field.annotation)) if _is_stage(t)]
        rows += [f"| `{name}` | {_first_line(stage.__doc__)} |" for stage in found]
    return "\n".join(["| stage | what it settles |", "|---|---|", *rows])


def next_steps() -> str:
    """What `make run` prints last, on the default profile in a folder of its own."""
    default = load_profile(DEFAULT_PROFILE)
    home = Home(Path.cwd(), Path.cwd() / "var")
    return f"```text\n{run.next_steps(home, default.name, default.name)}\n```"


BLOCKS: dict[str, Callable[[], str]] = {
    "assets": assets,
    "commands": commands,
    "fleet": fleet.table,
    "metrics": definitions.markdown,
    "next_steps": next_steps,
    "scale": scale.table,
    "settings": settings,
}


def generated(text: str) -> str:
    """`text` with every generated block as the code has it now.

    Raises:
        BlockError: a block is missing.
    """
    for name, block in BLOCKS.items():
        text = with_block(text, name, block())
    return text


def with_block(text: str, name: str, content: str) -> str:
    """`text` with `content` as its block `name`.

    Raises:
        BlockError: the block is missing.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{begin}.*?{end}", re.DOTALL)
    if not pattern.search(text):
        raise BlockError(f"README.md: expected `{begin}`, then `{end}`; found no such pair")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def write_block(name: str, content: str) -> None:
    """Put `content` into the README as its block `name`."""
    README.write_text(with_block(README.read_text(), name, content))


def main() -> int:
    """Write the blocks; 0."""
    README.write_text(generated(README.read_text()))
    sys.stdout.write(f"{README.name}: wrote {', '.join(BLOCKS)}\n")
    return 0


def _leaves() -> Iterator[tuple[str, click.Command]]:
    """Each command that does something, with the words that call it."""
    everything = typer.Typer()
    everything.registered_commands = [*cli.app.registered_commands]
    everything.registered_groups = [*cli.app.registered_groups]
    cli.add_plugins(everything)
    waiting: list[tuple[str, Any]] = [("finecap", typer.main.get_command(everything))]
    while waiting:
        words, command = waiting.pop(0)
        inner: dict[str, click.Command] = getattr(command, "commands", {})
        waiting += [(f"{words} {name}", child) for name, child in inner.items()]
        if not inner:
            yield words, command


def _usage(words: str, command: click.Command) -> list[str]:
    """How to call the command, and what it does."""
    pieces = " ".join([words, *(_piece(parameter) for parameter in command.params)])
    return [pieces, f"    {_first_line(command.help)}"]


def _piece(parameter: click.Parameter) -> str:
    """One argument or option; what can be left out stands in brackets."""
    if parameter.param_type_name == "argument":
        return parameter.metavar or (parameter.name or "").upper()
    choices = getattr(parameter.type, "choices", None)
    value = "|".join(choices) if choices else (parameter.name or "").upper()
    text = (
        parameter.opts[0]
        if getattr(parameter, "is_flag", False)
        else f"{parameter.opts[0]} {value}"
    )
    return text if parameter.required else f"[{text}]"


def _is_stage(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Stage)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
