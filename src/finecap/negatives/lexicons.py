"""Word lists as data: attribute values and function words, one text file each.

Why files: users extend them without touching code, and what counts as a colour can be read at a
glance. They are general English, for photographs as much as for drawings; what the corpus itself
says belongs to `corpus`.

A line is `value`, `value [group]` or `value [group > partner partner]`: values of one group mean
the same and are never swapped for each other; partners are the groups that a value may be swapped
for (default: every other group). A value may have several words. `#` begins a comment.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

ATTRIBUTES = ("colour", "background", "size", "count", "material", "relation")

_LINE = re.compile(r"(?P<value>[^\[\]>]+?)\s*(?:\[(?P<group>[^\[\]>]+)(?P<to>>[^\[\]>]*)?\])?")


class LexiconError(ValueError):
    """A lexicon that is unknown or has a line that cannot be read."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an attribute."""

    words: tuple[str, ...]
    group: str
    partners: frozenset[str] | None  # groups it may be swapped for; None: every other group

    def may_become(self, other: "Value") -> bool:
        """Whether saying `other` in this value's place says something else."""
        if self.partners is None:
            return other.partners is None and other.group != self.group
        return other.group in self.partners and other.group != self.group


class Lexicon(dict[tuple[str, ...], Value]):
    """An attribute's values by their words."""

    @cached_property
    def openings(self) -> frozenset[str]:
        """First words of all values, and the plurals of those of one word."""
        firsts = {words[0] for words in self}
        alone = {words[0] for words in self if len(words) == 1}
        endings = (("", "s"), ("", "es"), ("y", "ies"))
        return frozenset(firsts).union(
            word.removesuffix(cut) + ending for word in alone for cut, ending in endings
        )

    @cached_property
    def longest(self) -> int:
        """Words of the longest value."""
        return max(map(len, self), default=0)


def load_lexicon(attribute: str, folder: str | Path | None = None) -> Lexicon:
    """The values of `attribute`: the built-in list, with `folder`/`attribute`.txt added.

    A value in the user's file replaces the built-in value of the same words.

    Raises:
        LexiconError: neither list exists, or a line is malformed; names file and line.
    """
    built_in = _read(attribute)
    added: list[tuple[str, str]] = []
    if folder is not None:
        if not Path(folder).is_dir():
            raise LexiconError(f"lexicon_folder {folder} does not exist or is no folder")
        path = Path(folder) / f"{attribute}.txt"
        if path.is_file():
            added = _numbered(path.read_text(encoding="utf-8"), str(path))
    if not built_in and not added:
        raise LexiconError(
            f"unknown attribute {attribute!r}, expected one of {', '.join(ATTRIBUTES)} "
            f"or a file {attribute}.txt in lexicon_folder"
        )
    values = [_value(line, where) for line, where in (*built_in, *added)]
    return Lexicon((value.words, value) for value in values)


@cache
def function_words(name: str) -> frozenset[tuple[str, ...]]:
    """The built-in list `name` ("prepositions", "articles", ...), multi-word entries included."""
    lines = _read(name)
    if not lines:
        raise LexiconError(f"no built-in word list {name!r}")
    return frozenset(tuple(line.split()) for line, _ in lines)


@cache
def single_words(*names: str) -> frozenset[str]:
    """The one-word entries of those built-in lists together."""
    lists = (function_words(name) for name in names)
    return frozenset(words[0] for entries in lists for words in entries if len(words) == 1)


@cache
def all_function_words() -> frozenset[str]:
    """Every word that names nothing: articles, prepositions, auxiliaries and the like."""
    return single_words("articles", "determiners", "prepositions", "conjunctions", "auxiliaries")


@cache
def _read(name: str) -> tuple[tuple[str, str], ...]:
    """Lines of a built-in list with their place; none when there is no such list."""
    file = resources.files("finecap.negatives") / "lexicon" / f"{name}.txt"
    return (
        tuple(_numbered(file.read_text(encoding="utf-8"), f"{name}.txt")) if file.is_file() else ()
    )


def _numbered(text: str, file: str) -> list[tuple[str, str]]:
    """(line, place) of each line that says something, lower-case."""
    lines = ((i, line.split("#")[0].strip().lower()) for i, line in enumerate(text.splitlines(), 1))
    return [(line, f"{file} line {i}") for i, line in lines if line]


def _value(line: str, where: str) -> Value:
    """The value that a line of an attribute's lexicon states."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise LexiconError(
            f'{where}: came {line!r}, expected "value", "value [group]" or '
            '"value [group > partner partner]"'
        )
    words = tuple(match["value"].split())
    partners = None if match["to"] is None else frozenset(match["to"][1:].split())
    return Value(words, (match["group"] or " ".join(words)).strip(), partners)
