"""What the doctor says: one thing that was looked at, how it is, and what mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    said: str
    fix: str = ""


Findings = Iterator[Finding]
