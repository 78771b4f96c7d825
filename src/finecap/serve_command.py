"""The command `finecap serve`: thin, what it starts is `finecap.server`."""

# typer.Option has parts without types.
# pyright: reportUnknownMemberType=false

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finecap.home import home_folder

if TYPE_CHECKING:
    from uvicorn import Server


class NotServedError(RuntimeError):
    """The server could not be started."""


_BACKLOG = 2_048
_PROFILE = typer.Option(envvar="FINECAP_PROFILE", help="Whose settings `serve`.")


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: all.")] = "",
    port: Annotated[int, typer.Option(min=-1, max=65535, help="0: any free one.")] = -1,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name it may be asked by; `*`: any.")
    ] = None,
    root: Annotated[
        Path, typer.Option(help="Folder that the index's image paths are in.")
    ] = Path(),
    profile: Annotated[str, _PROFILE] = "scenes",
) -> None:
    """Serve the search page and REST until interrupted, on this machine alone unless told."""
    from finecap.config import load_profile

    config = load_profile(profile).serve  # before the imports that take seconds
    changes: dict[str, object] = {"hosts": [*config.hosts, *(allow_host or [])]}
    changes |= {"host": host} if host else {}
    changes |= {"port": port} if port >= 0 else {}
    config = config.model_copy(update=changes)
    from finecap.server.app import create_app, server_of
    from finecap.server.limits import token_in

    home = home_folder()
    token = token_in()
    if config.host not in {"127.0.0.1", "localhost", "::1"}:
        who = "with the token" if token else "without a token (set FINECAP_TOKEN_FILE)"
        sys.stderr.write(
            f"finecap: listening on {config.host}: whoever reaches this machine can search, and "
            f"caption images {who}\n"
        )
    server = server_of(create_app(home, root, config, token), config)
    _run(server, config.host, config.port)


def _run(server: "Server", host: str, port: int) -> None:
    """Listen, say where, and serve until the server is told to end."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise NotServedError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
            ) from error
        listening.listen(_BACKLOG)  # whoever reads the line below may connect at once
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"finecap serves on http://{shown}:{listening.getsockname()[1]}")
        sys.stdout.flush()
        server.run(sockets=[listening])
