"""Cursors: where the next page of an answer begins, in the build that gave the first one.

A cursor names its build, so that a reader who goes on while another build goes live still sees one
answer. It is no secret and no authority: what it says is checked like any other input.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from finecap.search.query import QueryError
from finecap.server.asked import Asked

_FORM = re.compile(r"([0-9A-Za-z][0-9A-Za-z._-]{0,63})/(\d{1,6})/([0-9a-f]{16})")
_MAX = 200  # characters


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place after the last hit seen, in one build's answer to one question."""

    build_id: str
    offset: int
    digest: str

    def __str__(self) -> str:
        """As an address holds it."""
        plain = f"{self.build_id}/{self.offset}/{self.digest}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, asked: Asked) -> "Cursor":
        """The cursor of that text.

        Raises:
            QueryError: it is no cursor, or belongs to another question.
        """
        found = _FORM.fullmatch(_plain(text))
        if found is None:
            raise QueryError("the cursor is broken: ask without it for the first page")
        cursor = cls(found[1], int(found[2]), found[3])
        if cursor.digest != asked.digest:
            raise QueryError(
                "the cursor belongs to another question: ask without it for the first page"
            )
        return cursor


def _plain(text: str) -> str:
    """What the text stands for; "" for what is no base64 of ASCII."""
    if len(text) > _MAX or not text.isascii():
        return ""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
