"""What a request asks for: the state that an address holds, and the address that holds a state.

Page and REST read the same values: an address can be shared and the back button works. The
query language is `search.query`'s; what is asked of the index, with which vector, `answers`'.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from finecap.search.attributes import canonical_value
from finecap.search.index import Mode
from finecap.search.query import FIELDS, Filter, Has, Not, Query, QueryError, conjunction, parse

MAX_CHIPS = 32
MAX_NAME = 1_000
"""Characters of a chip or an image's key."""
EVEN = 50
"""The slider's middle: both rankings alike, by reciprocal rank."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One attribute's value, as chips write it: `colour:red`."""

    field: str
    value: str

    @classmethod
    def read(cls, text: str) -> "Chip":
        """The chip written so.

        Raises:
            QueryError: it is no field with a value.
        """
        field, colon, value = text.partition(":")
        if not colon or field not in FIELDS or not value.strip() or len(text) > MAX_NAME:
            raise QueryError(
                f"{text[:60]!r} is no condition, expected FIELD:VALUE with a field of "
                f"{', '.join(FIELDS)}"
            )
        return cls(field, canonical_value()(field, value.strip()))

    def __str__(self) -> str:
        """As `read` reads it."""
        return f"{self.field}:{self.value}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: words, conditions, an image, and how the rankings are joined."""

    q: str = ""
    has: tuple[Chip, ...] = ()
    without: tuple[Chip, ...] = ()
    like: str = ""  # an image's key, or upload:ID
    mode: Mode = "hybrid"
    picture_weight: float | None = None  # of hybrid; None: reciprocal rank
    limit: int = 24

    @classmethod
    def read(
        cls,
        *,
        q: str = "",
        has: Sequence[str] = (),
        without: Sequence[str] = (),
        like: str = "",
        mode: Mode = "hybrid",
        picture_weight: float | None = None,
        limit: int = 24,
    ) -> "Asked":
        """The question of these values.

        Raises:
            QueryError: a chip is none, there are too many, or the image's key is too long.
        """
        if len(has) + len(without) > MAX_CHIPS or len(like) > MAX_NAME:
            raise QueryError(
                f"{len(has) + len(without)} conditions and an image key of {len(like)} characters: "
                f"at most {MAX_CHIPS} and {MAX_NAME} are read"
            )
        wanted, unwanted = (tuple(dict.fromkeys(map(Chip.read, t))) for t in (has, without))
        weight = picture_weight if mode == "hybrid" else None
        return cls(q.strip(), wanted, unwanted, like.strip(), mode, weight, limit)

    @property
    def query(self) -> Query:
        """Free text, and one filter of the query's conditions and the chips.

        Raises:
            QueryError: the query cannot be read.
        """
        read = parse(self.q, canonical_value()) if self.q else Query("", None)
        filters: list[Filter] = [] if read.filter is None else [read.filter]
        filters += [Has(chip.field, chip.value) for chip in self.has]
        filters += [Not(Has(chip.field, chip.value)) for chip in self.without]
        return Query(read.text, conjunction(filters))

    @property
    def balance(self) -> int:
        """Where the slider stands, 0 (words) to 100 (picture)."""
        if self.mode != "hybrid":
            return 0 if self.mode == "words" else 100
        return EVEN if self.picture_weight is None else round(100 * self.picture_weight)

    @property
    def digest(self) -> str:
        """Names the question, so that a cursor of another one is noticed."""
        return hashlib.blake2b(repr(self).encode("utf-8", "replace"), digest_size=8).hexdigest()

    def toggled(self, chip: Chip, *, into: str = "") -> "Asked":
        """The question with the chip in `has`, in `without`, or ("") in neither."""
        has = tuple(c for c in self.has if c != chip)
        without = tuple(c for c in self.without if c != chip)
        return replace(
            self,
            has=(*has, chip) if into == "has" else has,
            without=(*without, chip) if into == "without" else without,
        )

    def address(self, path: str = "/", cursor: str = "") -> str:
        """The page's address of this question."""
        values: list[tuple[str, str]] = [("q", self.q)] if self.q else []
        values += [("has", str(chip)) for chip in self.has]
        values += [("without", str(chip)) for chip in self.without]
        values += [("like", self.like)] if self.like else []
        values += [("balance", str(self.balance))] if self.balance != EVEN else []
        values += [("cursor", cursor)] if cursor else []
        return f"{path}?{urlencode(values)}" if values else path


def with_balance(balance: int) -> tuple[Mode, float | None]:
    """Mode and picture weight of a slider's place."""
    if balance <= 0:
        return "words", None
    if balance >= 100:  # noqa: PLR2004 - per cent
        return "picture", None
    return "hybrid", None if balance == EVEN else balance / 100
