"""One run at a time in a folder, by a lock of the operating system's on a file.

The lock dies with the process that took it, however that ends: what `kill -9` leaves behind is a
file that nobody holds, and the next run takes it over. The file says who holds it, for people; it
is never what decides. It is removed when the lock is given back, so that a tidy end leaves nothing.

Why not the process number in a file: the number may be another process's by now, and says nothing
of a process on another machine that shares the folder.
"""

import fcntl
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

ADVICE = (
    "two runs at once would write into each other's files. Wait until it has ended, or end it, and "
    "run again; it will go on from the last checkpoint"
)


class InUseError(RuntimeError):
    """Another run holds the folder."""


@contextmanager
def locked(file: Path, what: str, advice: str = ADVICE) -> Generator[None]:
    """Hold the lock on `file` for the block.

    Args:
        file: made for it, with its folder.
        what: it stands for, as the message of a refusal begins.
        advice: as it ends.

    Raises:
        InUseError: another run holds it; says who, where, since when, and what to do.
    """
    stream = _taken(file, what, advice)
    try:
        yield
    finally:
        with stream:
            if _is_at(stream, file):  # the folder may have been removed, and made by another run
                file.unlink()


def is_locked(file: Path) -> bool:
    """Whether anybody holds the lock on `file`, which need not exist."""
    try:
        stream = file.open()
    except FileNotFoundError:
        return False
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def refusal(file: Path, what: str, advice: str = ADVICE) -> InUseError:
    """The error that says who holds the lock on `file`."""
    try:
        holder = json.loads(file.read_text())
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (FileNotFoundError, json.JSONDecodeError):  # not written yet, or just given back
        who = "another process"
    return InUseError(f"{what} is in use by {who}: {advice}")


def _taken(file: Path, what: str, advice: str) -> IO[str]:
    """The file, open and locked; whoever held it last is overwritten."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stream = file.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise refusal(file, what, advice) from None
    if not _is_at(stream, file):  # given back, and so removed, since it was opened
        stream.close()
        return _taken(file, what, advice)
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    stream.truncate(0)
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, stream)
    stream.flush()
    return stream


def _is_at(stream: IO[str], file: Path) -> bool:
    """Whether the open file is the one that lies there now."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    except FileNotFoundError:
        return False
