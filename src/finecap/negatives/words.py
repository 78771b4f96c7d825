"""A caption as words, and words as a caption again: what every edit starts from and ends in.

Edits work on lower-case words. What is not a word but style (a capital at the start, the final
stop) is put back afterwards, so that no negative gives itself away by it. Here, too, is the one
rule of spelling that edits keep breaking on purpose or repairing: a or an.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from finecap.negatives.lexicons import function_words

_WORD = re.compile(r"(?:['’](?=s\b))?[^\W_]+(?:['’.-][^\W_]+)*")  # noqa: RUF001  # apostrophes as people type them
_VOWELS = frozenset("aeiou")


@dataclass(frozen=True, slots=True)
class Style:
    """What a caption has besides its words."""

    capital: bool
    ending: str  # from the end of the last word on, e.g. " ."
    comma: str = ","  # or " ,", as tokenised corpora write it

    def dress(self, words: Sequence[str]) -> str:
        """`words` as a caption in this style."""
        text = " ".join(words)
        if self.comma != ",":
            text = re.sub(r"(?<=\S),(?= |$)", self.comma, text)
        return (text[:1].upper() + text[1:] if self.capital else text) + self.ending


def split_caption(caption: str) -> tuple[list[str], Style]:
    """Lower-case words and the style. Punctuation between words is dropped but for commas.

    A comma stays on the word it follows ("boat,"). A caption of signs alone has its
    whitespace-separated pieces as words.
    """
    matches = list(_WORD.finditer(caption))
    if not matches:
        return caption.lower().split(), Style(capital=False, ending="")
    ends = [match.end() for match in matches]
    words = [match.group().lower() for match in matches]
    if "," in caption:
        for i, (end, following) in enumerate(zip(ends, matches[1:], strict=False)):
            if "," in caption[end : following.start()]:
                words[i] += ","
    ending = re.sub(r"[^.!?\s]", "", caption[ends[-1] :]).rstrip()
    comma = " ," if " ," in caption else ","
    return words, Style(matches[0].group()[0].isupper(), ending, comma)


def bare(words: Sequence[str]) -> tuple[str, ...]:
    """The words without the commas they carry."""
    return tuple([word[:-1] if word[-1] == "," and len(word) > 1 else word for word in words])


def key(caption: str) -> tuple[str, ...]:
    """What two captions share when they differ in case, whitespace or punctuation alone."""
    return bare(split_caption(caption)[0])


@cache
def _exceptions() -> tuple[tuple[str, str], ...]:
    """(beginning of a word, article), longest beginning first."""
    pairs = [(words[1], words[0]) for words in function_words("articles_by_sound")]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))


@cache
def indefinite_article(word: str) -> str:
    """The article "a" or "an", by the first sound of `word`.

    >>> indefinite_article("umbrella"), indefinite_article("uniform"), indefinite_article("hour")
    ('an', 'a', 'an')
    """
    for beginning, article in _exceptions():
        if word.startswith(beginning):
            return article
    return "an" if word[:1] in _VOWELS else "a"


def fix_article(words: list[str], at: int) -> None:
    """Make the indefinite article at `at`, if there is one, agree with the word after it."""
    if 0 <= at < len(words) - 1 and words[at] in {"a", "an"}:
        words[at] = indefinite_article(words[at + 1])
