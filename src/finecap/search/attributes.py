"""What a caption says, field by field: the values that chips and conditions filter by.

Colour, background, size and relation are looked up in the lexicons that also make the negatives,
longest entry first; a value is stored under its group ("big" as "large", "beneath" as "below"), so
that one chip finds all who say it. Objects are no list but the heads of noun phrases, found by the
function words around them: no parser to install, right for captions of the usual shape, and a
verb without -ing or -ed may slip through. Only captions are read, never what is known of an image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from finecap.negatives.lexicons import load_lexicon, single_words
from finecap.negatives.words import bare, split_caption
from finecap.search.query import ATTRIBUTES

_LOOKED_UP = ("colour", "background", "size", "relation", "material", "count")
_ADJECTIVES = ("colour", "size", "material", "count")
_NO_OBJECTS = frozenset(
    {"there", "it", "he", "she", "they", "you", "we", "someone", "something", "one", "other"}
    | {"front", "back", "top", "side", "left", "right", "middle", "center", "centre", "way"}
)
"""Pronouns and parts of the picture, which head noun phrases too."""
_IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child",
              "feet": "foot", "geese": "goose", "mice": "mouse", "knives": "knife",
              "leaves": "leaf", "wolves": "wolf", "sheep": "sheep", "buses": "bus"}  # fmt: skip
_SIBILANTS = ("ses", "xes", "zes", "ches", "shes")


@dataclass(frozen=True, slots=True)
class Wordbook:
    """All lexicons as one table: what is looked up once per word of every caption."""

    entries: Mapping[tuple[str, ...], tuple[str, str]]  # words to (field, group)
    longest: int  # words of the longest entry
    reach: Mapping[str, int]  # first word to words of the longest entry that starts with it

    def match(self, words: Sequence[str]) -> tuple[int, str, str] | None:
        """(words used, field, group) of the longest entry at the start; its last may be plural."""
        reach = self.reach.get(words[0], 0)
        if not reach:  # as most words: in no lexicon, but for a plural
            found = self.entries.get((singular(words[0]),))
            return (1, *found) if found else None
        for length in range(min(reach, len(words)), 0, -1):
            entry = tuple(words[:length])
            found = self.entries.get(entry) or self.entries.get((*entry[:-1], singular(entry[-1])))
            if found:
                return length, *found
        return None


@cache
def load_wordbook(folder: Path | None = None) -> Wordbook:
    """The built-in lexicons with the user's in `folder` added; earlier fields win shared words.

    Raises:
        LexiconError: a line cannot be read, or there is no such folder.
    """
    entries: dict[tuple[str, ...], tuple[str, str]] = {}
    for field in _LOOKED_UP:
        for words, value in load_lexicon(field, folder).items():
            entries.setdefault(words, (field, value.group))
    reach: dict[str, int] = {}
    for words in entries:
        reach[words[0]] = max(len(words), reach.get(words[0], 0))
    return Wordbook(entries, max(reach.values()), reach)


def attributes_of(caption: str, wordbook: Wordbook | None = None) -> dict[str, tuple[str, ...]]:
    """Values per field of `query.ATTRIBUTES`, each sorted and once; () where nothing is said.

    >>> attributes_of("a big red boat to the left of two houses at night")["object"]
    ('boat', 'house')
    """
    found: dict[str, set[str]] = {name: set() for name in ATTRIBUTES}
    phrase = _Phrase()
    for word, field, group in _pieces(bare(split_caption(caption)[0]), wordbook or load_wordbook()):
        if field in found:
            found[field].add(group)
        phrase.read(word, field)
    found["object"] = phrase.heads()
    return {name: tuple(sorted(values)) for name, values in found.items()}


def canonical_value(wordbook: Wordbook | None = None) -> Callable[[str, str], str]:
    """A function (field, value as typed) to the value stored, for `query.parse`."""
    book = wordbook or load_wordbook()

    def canonical(field: str, value: str) -> str:
        if field == "object":
            return singular(value)
        words = value.split()
        match book.match(words):
            case (length, found, group) if length == len(words) and found == field:
                return group
            case _:
                return value

    return canonical


@lru_cache(maxsize=1 << 16)
def singular(word: str) -> str:
    """The word without its plural ending.

    >>> singular("boats"), singular("benches"), singular("grass"), singular("people")
    ('boat', 'bench', 'grass', 'person')
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004 - ties, pies keep their stem
        return word[:-3] + "y"
    if word.endswith(_SIBILANTS) and word[:-2] + "e" not in {"house", "horse", "nose", "vase"}:
        return word[:-2] if not word.endswith("ses") or word.endswith("sses") else word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _pieces(words: Sequence[str], wordbook: Wordbook) -> Iterator[tuple[str, str, str]]:
    """The caption cut into (first word, field, group); field "" for words in no lexicon."""
    at = 0
    while at < len(words):
        length, field, group = wordbook.match(words[at : at + wordbook.longest]) or (1, "", "")
        yield words[at], field, group
        at += length


class _Phrase:
    """Reads a caption piece by piece and keeps the head of each noun phrase."""

    def __init__(self) -> None:
        self._heads: set[str] = set()
        self._run: list[str] = []
        self._closed = False  # the phrase's verb has come
        self._one = False  # opened by a/an: its head cannot be plural

    def read(self, word: str, field: str) -> None:
        """Take the next piece: a word, or the first word of a lexicon's value."""
        if field in _ADJECTIVES:
            return
        if field or word in _boundaries():
            self._end()
            self._one = word in {"a", "an"}
        elif self._run and (_is_verb(word) or (self._one and singular(word) != word)):
            self._closed = True
        elif not self._closed and word.isalpha():
            self._run.append(word)

    def heads(self) -> set[str]:
        """Singular heads of all phrases read."""
        self._end()
        return self._heads - _NO_OBJECTS

    def _end(self) -> None:
        if self._run:
            self._heads.add(singular(self._run[-1]))
        self._run, self._closed = [], False


@cache
def _boundaries() -> frozenset[str]:
    """Words that no noun phrase goes past."""
    return single_words("articles", "determiners", "prepositions", "conjunctions", "auxiliaries")


def _is_verb(word: str) -> bool:
    """Whether the ending is a participle's."""
    return word.endswith(("ing", "ed"))
