"""Is a caption correct English over the drawn world's words? A parser, not a list of templates.

    caption   := [places] [frame] group | [fronted] "there is" [frame] group | NP modifiers "is" ...
    frame     := "a picture of" | "a photo of" | "an image of"
    group     := NP modifiers { "and" NP modifiers }
    modifiers := { PP | "with" NP | "to the left" }, the last of them perhaps after "and"
    PP        := preposition NP, each preposition with the nouns that idiom lets it take

It accepts whatever a careful reader would accept, said by `language.py` or not (two relations,
a background first or last, "big" for "large", plurals, "a boat is on the sea"), and rejects wrong
articles, loose ends, missing links and repetition. Meaning is not judged: "a boat on a cat" passes.
This only scores captions; it never enters a reward, a negative's label, a decoder or a selection.
The lexicon is in `idiom.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from finecap.data.scenes.idiom import (
    ADJECTIVES,
    BARE,
    DETERMINERS,
    FRAMES,
    NOUNS,
    PREPOSITIONS,
    SIDES,
    Noun,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the words are read, and the phrases met so far, so that none may return."""

    at: int
    said: frozenset[tuple[str, ...]] = frozenset()
    plural: bool = False  # of the noun phrase read last
    place: bool = False  # the prepositional phrase read last names a place

    def then(self, at: int, *phrase: str) -> "Reading | None":
        """Read on to `at` with `phrase` said; None when it has been said before."""
        if phrase in self.said:
            return None
        return replace(self, at=at, said=self.said | {phrase})


def is_grammatical(caption: str) -> bool:
    """True when the caption parses as a whole; case, and a full stop at the end, do not count.

    >>> is_grammatical("an orange boat to the left of a house at night")
    True
    >>> is_grammatical("a umbrella on the night")
    False
    """
    words = caption.lower().strip().removesuffix(".").split()
    return any(reading.at == len(words) for reading in _Parser(words).caption())


class _Parser:
    """Every reading of a caption's beginning, by recursive descent with backtracking."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def _starts(self, at: int, phrase: str) -> int | None:
        """Where `phrase` ends if the words at `at` are it."""
        parts = phrase.split()
        return at + len(parts) if self._words[at : at + len(parts)] == parts else None

    def caption(self) -> Iterator[Reading]:
        """Readings of a whole caption."""
        start = Reading(0)
        yield from self._statement(start)
        for fronted in self._fronted(start):
            yield from self._there_is(fronted)
            if fronted.place:  # "at night a boat"; but not "above a house a boat"
                yield from self._frame(fronted)

    def _statement(self, start: Reading) -> Iterator[Reading]:
        """A caption that begins with its subject or with "there is"."""
        yield from self._frame(start)
        yield from self._there_is(start)
        yield from self._predicate(start)

    def _there_is(self, start: Reading) -> Iterator[Reading]:
        """There is [a picture of] a boat ..."""
        at = self._starts(start.at, "there is")
        # "there is the boat" points at something, it does not describe; nor "there is boats".
        if at is not None and self._word(at) in {"a", "an", "one", "another"}:
            yield from self._frame(replace(start, at=at))

    def _frame(self, start: Reading) -> Iterator[Reading]:
        """[A picture of] a boat ..."""
        yield from self._group(start)
        for frame in FRAMES:
            at = self._starts(start.at, frame)
            if at is not None:
                yield from self._group(replace(start, at=at))

    def _predicate(self, start: Reading) -> Iterator[Reading]:
        """A boat is on the sea; a boat is large; a boat near a cat is red."""
        for head in self._noun_phrase(start, ""):
            if head.plural:
                continue
            for subject in self._modifiers(head):
                at = self._starts(subject.at, "is")
                if at is None:
                    continue
                verb = replace(subject, at=at)
                for modified in self._modifier(verb):
                    yield from self._modifiers(modified)
                if self._word(at) in ADJECTIVES:
                    yield replace(verb, at=at + 1)

    def _fronted(self, start: Reading) -> Iterator[Reading]:
        """One or two prepositional phrases before everything else."""
        for first in self._preposition_phrase(start):
            yield first
            for second in self._preposition_phrase(first):
                yield replace(second, place=first.place and second.place)

    def _group(self, start: Reading) -> Iterator[Reading]:
        """Noun phrases with their modifiers, joined by "and"."""
        for head in self._noun_phrase(start, ""):
            for modified in self._modifiers(head):
                yield modified
                at = self._starts(modified.at, "and")
                if at is not None:
                    yield from self._group(replace(modified, at=at))

    def _modifiers(self, start: Reading) -> Iterator[Reading]:
        """Any number of modifiers, none included."""
        yield start
        for modified in self._modifier(start):
            yield from self._modifiers(modified)
            at = self._starts(modified.at, "and")  # "above a cat and to the left of a tree"
            if at is not None:
                for second in self._preposition_phrase(replace(modified, at=at)):
                    yield from self._modifiers(second)

    def _modifier(self, start: Reading) -> Iterator[Reading]:
        """One of: a prepositional phrase, a companion, a bare side."""
        yield from self._preposition_phrase(start)
        at = self._starts(start.at, "with")
        if at is not None:
            yield from self._noun_phrase(replace(start, at=at), "with")
        for side in SIDES:
            at = self._starts(start.at, side)
            if at is not None and (read := start.then(at, side)):
                yield read

    def _preposition_phrase(self, start: Reading) -> Iterator[Reading]:
        """On the beach, at night, to the left of a boat."""
        for phrase, place in BARE.items():
            at = self._starts(start.at, phrase)
            if at is not None and (read := start.then(at, "place", place)):
                yield replace(read, place=True)
        for preposition in PREPOSITIONS:
            at = self._starts(start.at, preposition)
            if at is not None:
                yield from self._noun_phrase(replace(start, at=at), preposition)

    def _noun_phrase(self, start: Reading, preposition: str) -> Iterator[Reading]:
        """Article, adjectives in their order, noun; the noun must go with the preposition."""
        determiner = self._word(start.at)
        if determiner not in DETERMINERS:
            determiner = ""
        first = at = start.at + (determiner != "")
        rank = 0
        while ADJECTIVES.get(self._word(at), 0) > rank:
            rank = ADJECTIVES[self._word(at)]
            at += 1
        adjectives = self._words[first:at]
        word = "night sky" if self._starts(at, "night sky") else self._word(at)
        noun = NOUNS.get(word)
        if noun is None or preposition not in noun.prepositions:
            return
        if not _agree(determiner, noun, self._word(first)):
            return
        # A place is named once whatever its adjectives, a thing once with the same adjectives.
        said = ("place", noun.name) if noun.is_place else (*adjectives, noun.name)
        if read := start.then(at + len(word.split()), *said):
            yield replace(read, plural=noun.plural, place=noun.is_place)

    def _word(self, at: int) -> str:
        """The word at `at`, "" beyond the end."""
        return self._words[at] if at < len(self._words) else ""


def _agree(determiner: str, noun: Noun, following: str) -> bool:
    """True when the determiner suits the noun's number and the sound of the word after it."""
    if determiner in {"a", "an"}:
        # No word of this world writes a vowel and sounds a consonant, or the reverse.
        sound = (determiner == "an") == (following[0] in "aeiou")
        return sound and noun.countable and not noun.plural
    if determiner in {"one", "another"}:
        return noun.countable and not noun.plural
    if determiner == "the":
        return True
    return noun.plural  # none, or one that counts
