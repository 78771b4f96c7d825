"""What DVC's remotes say when they refuse: folders, S3, SSH and HTTP alike.

DVC logs why an object cannot be had and raises how many cannot; where it does not expect the
refusal, the exception of that remote's own client comes through. No remote is opened here.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LENGTH = 200
"""Characters of a message."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CLIENTS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("asyncssh", "Error"),
    ("aiohttp", "ClientError"),
)
"""Clients whose exceptions are not all `OSError`s: module and the base class of its own."""


def refusals() -> tuple[type[Exception], ...]:
    """What a remote that is not there, or does not let us in, raises.

    Of clients, those that were loaded; a client that was not cannot have raised. A full disk or one
    that is read-only is none of them.
    """
    clients = [getattr(sys.modules[m], name) for m, name in _CLIENTS if m in sys.modules]
    return (PermissionError, ConnectionError, TimeoutError, *clients)


def words(said: object) -> str:
    """A message of DVC's in one line, cut, and without the colours of a terminal."""
    return " ".join(_COLOUR.sub("", str(said)).split())[:MAX_LENGTH]


@contextmanager
def reasons() -> Iterator[list[str]]:
    """What DVC logs inside of why objects cannot be had, a line each."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            what = words(record.getMessage())
            why = words(record.exc_info[1]) if record.exc_info else ""
            said.append(f"{what} ({why})" if why else what)

    listener = Listener(logging.WARNING)
    logging.getLogger("dvc_data").addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger("dvc_data").removeHandler(listener)
