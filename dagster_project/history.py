"""Who made which version champion, when and why: the moves, and what undoing the last one means.

Pure: a move is a value that becomes the text of one tag and comes back from it. The tags are read
in the MLflow UI too, so their words are whole. Where they lie and in which order they are written
is `registry`'s.
"""

import getpass
import json
import os
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

MAX_REASON = 1000
"""Characters; a tag of some databases holds 5,000."""


class Kind(StrEnum):
    """What sort of move it was."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    NOTICED = "noticed"  # made elsewhere, e.g. in the MLflow UI, and found afterwards


@dataclass(frozen=True)
class Actor:
    """Who moves the alias, and by which means."""

    name: str  # user@host
    means: str  # "pipeline run 1a2b3c4d", "finecap promote"
    is_person: bool  # whose word the pipeline respects


@dataclass(frozen=True)
class Move:
    """One change of champion; a version is "" where there was none."""

    number: int  # counts up from 1
    kind: Kind
    before: str
    after: str
    at: str  # UTC, ISO 8601
    by: str  # user@host; "unknown" of a move that was noticed
    means: str
    why: str

    @property
    def line(self) -> str:
        """The move in one line for people."""
        change = f"{named(self.before)} -> {named(self.after)}"
        return f"{self.at}  {change}  {self.by}, {self.means}: {self.why}"


def named(version: str) -> str:
    """The version as people read it."""
    return f"v{version}" if version else "none"


def to_text(move: Move) -> str:
    """The move as a tag's value."""
    content = {
        "at": move.at, "from": move.before, "to": move.after, "by": move.by,
        "means": move.means, "kind": move.kind, "why": move.why,
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False)


def from_text(number: int, text: str) -> Move:
    """The move of that number whose tag says `text`."""
    says: dict[str, str] = json.loads(text)
    return Move(
        number, Kind(says["kind"]), says["from"], says["to"],
        says["at"], says["by"], says["means"], says["why"],
    )  # fmt: skip


def reigns(moves: Sequence[Move]) -> list[str]:
    """Champions that rollbacks would go through, oldest first, today's last.

    A promotion adds one; a rollback takes away those it undid. So two rollbacks in a row go back
    two champions, and never to the one that was just undone.
    """
    champions: list[str] = []
    for move in moves:
        if not champions and move.before:
            champions.append(move.before)
        if move.kind is Kind.ROLLBACK and move.after in champions:
            while champions[-1] != move.after:
                champions.pop()
        elif move.after and champions[-1:] != [move.after]:
            champions.append(move.after)
    return champions


def champion_before(
    moves: Sequence[Move], current: str, existing: Collection[str]
) -> tuple[str, list[str]]:
    """The version that a rollback makes champion ("" where there is none), and deleted ones passed.

    Args:
        moves: the history.
        current: today's champion, "" without any: then its last one comes back.
        existing: versions that are still registered.
    """
    champions = reigns(moves)
    while champions and champions[-1] == current:
        champions.pop()
    passed: list[str] = []
    while champions and champions[-1] not in existing:
        passed.append(champions.pop())
    return (champions[-1] if champions else ""), passed


def one_line(reason: str) -> str:
    """A reason as it is kept: one line, at most `MAX_REASON` characters."""
    line = " ".join(reason.split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 1]}…"


def me() -> str:
    """Who runs this process, as `user@host`; a number where the user has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container run under a number that /etc/passwd does not list
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
