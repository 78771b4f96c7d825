"""Where a caption names an attribute, and which words have to go for it not to.

Three kinds of attribute, since English says them in three ways: words before a noun (colour, size,
count, material), places in a prepositional phrase (background), and links between two things
(relation). Decisions where removal is not plain:

* A background goes with its whole phrase ("on a sandy beach"); where it is no phrase ("a beach
  with a boat") it cannot be removed, only swapped.
* A relation becomes "and", a verb of position before it goes too: "a cat sitting next to a car"
  leaves "a cat and a car". Before a background ("under the night sky") it is no relation.
* "black and white" is one mention for removal. A colour that is the noun itself ("an orange") is
  none, and "red-haired" names no colour of a thing. A hyphenated word goes whole: "red-brick" names
  a colour and a material, "brick-red" a colour alone, as its last part says what it is.

What is not here: what replaces a mention (`attributes`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from finecap.negatives.lexicons import (
    Lexicon,
    Value,
    all_function_words,
    function_words,
    load_lexicon,
    single_words,
)

NOT_PLACES = frozenset({"of", "with", "without", "like", "as", "about", "for"})
"""Prepositions that do not say where something is ("of wood")."""

SHADES = frozenset({"dark", "light", "bright", "pale", "deep", "and"})
"""Parts of hyphenated colours that are no values themselves ("dark-blue", "red-and-white")."""

DESCRIBING = ("colour", "size", "material")
"""Attributes whose values join others in a hyphenated word ("red-brick")."""

SUFFIXES = {"colour": frozenset({"colored", "coloured"}), "size": frozenset({"sized"})}
"""Last parts of hyphenated words that say which attribute the others name ("large-sized")."""

STATES = frozenset({"covered", "surrounded"})
"""Participles that say nothing without their place ("a field covered in snow")."""

NO_THINGS = frozenset({"each", "there", "here"})
"""Words after which a relation is none to a thing ("over there")."""

PRONOUNS = frozenset(
    {"him", "her", "it", "them", "us", "me", "you", "himself", "herself", "itself"}
)

MAX_PHRASE = 4  # words between a preposition and the background it introduces


@dataclass(frozen=True, slots=True)
class Mention:
    """One value in a caption: `words[start:end]`."""

    start: int
    end: int
    value: Value
    removal: tuple[int, int] | None  # the words to take out; None: it cannot be removed
    filler: tuple[str, ...] = ()  # what takes the removed words' place


def find_mentions(
    words: Sequence[str], attribute: str, lexicon: Lexicon, backgrounds: Lexicon
) -> list[Mention]:
    """The mentions of `attribute` in bare lower-case `words`, left to right.

    Args:
        words: A caption's words, without commas.
        attribute: Decides how it is said; an unknown one (a user's) is read as words before a noun.
        lexicon: Its values.
        backgrounds: The values of `background`, so that a relation to one is left alone.
    """
    spans = _spans(words, attribute, lexicon)
    if attribute == "background":
        return [_place(words, *span) for span in spans if _ends_phrase(words, span[1])]
    if attribute == "relation":
        found = (_relation(words, *span, backgrounds) for span in spans)
        return [mention for mention in found if mention is not None]
    return _before_nouns(words, spans, is_colour=attribute == "colour")


def head_noun(words: Sequence[str], at: int) -> str:
    """The last word of the run of naming words that begins at `at`."""
    function = all_function_words()
    end = at
    while end < len(words) and words[end] not in function:
        end += 1
    return words[end - 1]


def singular(words: tuple[str, ...], lexicon: Lexicon) -> Value | None:
    """The value whose plural (or very self) `words` is."""
    if words in lexicon:
        return lexicon[words]
    last = words[-1]
    if not last.endswith("s"):
        return None
    stems = (last[:-1], last[:-2], last[:-3] + "y")
    return next((lexicon[(*words[:-1], s)] for s in stems if (*words[:-1], s) in lexicon), None)


def _spans(words: Sequence[str], attribute: str, lexicon: Lexicon) -> list[tuple[int, int, Value]]:
    """Non-overlapping values, the longest first at each place."""
    spans: list[tuple[int, int, Value]] = []
    openings, longest = lexicon.openings, lexicon.longest
    at = 0
    while at < len(words):
        may_begin = words[at] in openings or "-" in words[at]
        for size in range(min(longest, len(words) - at) if may_begin else 0, 0, -1):
            said = tuple(words[at : at + size])
            is_place = attribute == "background"  # the only values that have plurals
            value = singular(said, lexicon) if is_place else lexicon.get(said)
            if value is None and size == 1 and "-" in words[at]:
                value = _hyphenated(words[at], attribute, lexicon)
            if value is not None:
                spans.append((at, at + size, value))
                at += size - 1
                break
        at += 1
    return spans


def _hyphenated(word: str, attribute: str, lexicon: Lexicon) -> Value | None:
    """The value that a word of several values states: "dark-blue" is a blue, "red-brick" a red."""
    *first, last = word.split("-")
    values = [lexicon[(part,)] for part in (*first, last) if (part,) in lexicon]
    is_own = all(part in SHADES or (part,) in lexicon for part in (*first, last))
    ends_well = (last,) in lexicon or last in _values("material") | SUFFIXES.get(attribute, set())
    is_joined = attribute in DESCRIBING and ends_well and _values(*DESCRIBING).issuperset(first)
    return values[-1] if values and (is_own or is_joined) else None


@cache
def _values(*attributes: str) -> frozenset[str]:
    """The built-in values of one word."""
    lexicons = (load_lexicon(attribute) for attribute in attributes)
    return frozenset(words[0] for lexicon in lexicons for words in lexicon if len(words) == 1)


def _ends_phrase(words: Sequence[str], end: int) -> bool:
    """Whether the noun phrase is over at `end`: not so in "beach house"."""
    if end == len(words):
        return True
    follows = words[end]  # "field of grass" goes on
    return follows != "of" and (follows in all_function_words() or follows.endswith("ing"))


def _place(words: Sequence[str], start: int, end: int, value: Value) -> Mention:
    """A background, with its prepositional phrase as what to remove."""
    openers = single_words("articles", "determiners")
    prepositions = single_words("prepositions")
    for at in range(start - 1, max(-1, start - 2 - MAX_PHRASE), -1):
        if words[at] in prepositions:
            begin = _preposition_start(words, at)
            if begin == at and words[at] in NOT_PLACES:
                return Mention(start, end, value, None)
            is_state = begin > 0 and words[begin - 1] in STATES
            return Mention(start, end, value, (begin - 1 if is_state else begin, end))
        if words[at] in all_function_words() and words[at] not in openers:
            break
    return Mention(start, end, value, None)


def _preposition_start(words: Sequence[str], last: int) -> int:
    """Where the preposition begins whose last word is at `last` ("in front of")."""
    sizes = [len(e) for e in function_words("prepositions") if _ends_with(words, last + 1, e)]
    return last + 1 - max(sizes, default=1)


def _ends_with(words: Sequence[str], end: int, ending: tuple[str, ...]) -> bool:
    """Whether `words[:end]` ends in `ending`."""
    return end >= len(ending) and tuple(words[end - len(ending) : end]) == ending


def _relation(
    words: Sequence[str], start: int, end: int, value: Value, backgrounds: Lexicon
) -> Mention | None:
    """A relation between two things; None before a background or at either end of a caption."""
    if any(_ends_with(words, start, (word, "the")) for word in ("to", "on", "at")):
        start -= 2
    function = all_function_words() - single_words("articles", "determiners")
    stop = next((i for i in range(end, len(words)) if words[i] in function), len(words))
    complement = tuple(words[end:stop])
    is_pronoun = len(complement) == 1 and complement[0] in PRONOUNS
    if start == 0 or not complement or is_pronoun or complement[0] in NO_THINGS:
        return None
    if any(singular(complement[i:], backgrounds) for i in range(len(complement))):
        return None
    begin = _without_verb(words, start)
    if begin == 0 or words[begin - 1] in single_words("prepositions", "articles", "determiners"):
        return Mention(start, end, value, None)
    is_joined = words[begin - 1] in single_words("conjunctions")
    return Mention(start, end, value, (begin, end), () if is_joined else ("and",))


def _without_verb(words: Sequence[str], at: int) -> int:
    """Where the verb of position before `at` begins: "a cat [is sitting] next to"; else `at`."""
    openers = single_words("articles", "determiners")
    last = words[at - 1]
    named = next((i for i in range(at - 1, -1, -1) if words[i] in openers), None)
    is_participle = last.endswith("ing") and last not in single_words("nouns_in_ing")
    # After "a" or "an" a noun is singular, so a second word in -s is its verb: "a cat sits".
    is_finite = (
        named is not None
        and words[named] in {"a", "an"}
        and named < at - 2
        and last.endswith("s")
        and not last.endswith(("ss", "us"))
    )
    if (is_participle or is_finite) and at > 1 and words[at - 2] not in openers:
        at -= 1
    while at > 1 and words[at - 1] in single_words("auxiliaries"):
        at -= 1
    return at


def _before_nouns(
    words: Sequence[str], spans: list[tuple[int, int, Value]], *, is_colour: bool
) -> list[Mention]:
    """Mentions of values that stand before a noun or after "is"; the noun itself is none.

    Colours alone also stand for clothes: "in red", "wearing blue" (which can only be swapped).
    """
    mentions: list[Mention] = []
    for first, last in _coordinated(words, spans):
        begin, end = spans[first][0], spans[last][1]
        is_attributive = end < len(words) and words[end] not in all_function_words()
        before = words[begin - 1] if begin else ""
        if not is_attributive and (not before or before in single_words("articles", "determiners")):
            continue
        removal = (begin, end) if is_attributive else _predicate(words, begin, end)
        is_noun = not is_attributive and before not in single_words("auxiliaries")
        is_made = _ends_with(words, begin, ("made", "of"))
        if is_noun and not is_colour and not is_made:
            continue
        mentions += [Mention(s, e, value, removal) for s, e, value in spans[first : last + 1]]
    return mentions


def _predicate(words: Sequence[str], begin: int, end: int) -> tuple[int, int] | None:
    """What to remove of "is red" or "in red": the verb or preposition too."""
    if words[begin - 1] in single_words("auxiliaries"):
        return begin - 1, end
    if words[begin - 1] in single_words("prepositions"):
        return begin - (2 if _ends_with(words, begin, ("made", "of")) else 1), end
    return None


def _coordinated(
    words: Sequence[str], spans: list[tuple[int, int, Value]]
) -> list[tuple[int, int]]:
    """First and last span of each run such as "red , white and blue"."""
    runs: list[tuple[int, int]] = []
    for i, (start, _, _) in enumerate(spans):
        between = tuple(words[spans[i - 1][1] : start]) if i else ("",)
        if between in {(), ("and",), ("or",)}:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs
