"""Captions robbed of an attribute, or naming a wrong one: hard negatives of their own image.

Tuned on these, an encoder scores a caption that says "red" above the same caption without it, and
above one that says "blue"; as a reward it then asks captioners for the attribute (Cho et al. 2022,
section 3.2, who remove words; swaps keep the claim honest). A swap draws from the values that the
corpus itself uses, as a word the encoder has never met would give the negative away. Colours and
the like are also exchanged between two objects, so that a colour has to be bound to its object.

What is not here: finding the mentions (`mentions`), the lists of values (`lexicons`), and
corruptions of grammar: these negatives are meant to read well.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Literal

import pandas as pd

from finecap.config import AttributeNegativesConfig
from finecap.data.records import Record
from finecap.negatives.lexicons import Lexicon, Value, load_lexicon, single_words
from finecap.negatives.mentions import Mention, find_mentions, head_noun
from finecap.negatives.words import bare, fix_article, key, split_caption

COLUMNS = ("image", "caption", "negative", "attribute", "kind")

Kind = Literal["remove", "swap"]
Phrase = tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    """An attribute's values, and how often the corpus says each."""

    attribute: str
    lexicon: Lexicon
    backgrounds: Lexicon
    said: dict[Phrase, Counter[Phrase]]  # by value; whole phrases of one by ("phrase", *value)
    choices: dict[tuple[str, Value, frozenset[str]], tuple[list[Phrase], list[int]]] = field(
        default_factory=dict[tuple[str, Value, frozenset[str]], tuple[list[Phrase], list[int]]]
    )  # what `_draw` has looked up before

    def find(self, words: Sequence[str]) -> list[Mention]:
        """The attribute's mentions in bare `words`."""
        return find_mentions(words, self.attribute, self.lexicon, self.backgrounds)


def build_table(records: Sequence[Record], config: AttributeNegativesConfig) -> pd.DataFrame:
    """Attribute negatives of the train records: of the alt_text where there is one, else captions.

    For each text and attribute: all its mentions removed; one of several removed; one swapped;
    and two exchanged where they belong to different things. Order of rows follows `records`;
    each row depends on its own text, the corpus and the seed alone.

    Returns:
        Columns image, caption, negative, attribute, kind ("remove" or "swap"); no rows for a text
        that does not name the attribute.

    Raises:
        LexiconError: an unknown attribute or a malformed lexicon.
    """
    texts = [
        (record.image, text)
        for record in records
        if record.split == "train"
        for text in ((record.alt_text,) if record.alt_text else record.captions)
    ]
    backgrounds = load_lexicon("background", config.lexicon_folder)
    distinct = sorted({key(text) for _, text in texts})
    rows: list[tuple[str, str, str, str, str]] = []
    for attribute in config.attributes:
        lexicon = load_lexicon(attribute, config.lexicon_folder)
        bank = _bank(attribute, lexicon, backgrounds, distinct)
        for image, text in texts:
            generator = Random(f"{config.seed}:{attribute}:{image}:{text}")  # noqa: S311
            negatives = attribute_negatives(text, bank, generator)
            rows += [(image, text, negative, attribute, kind) for negative, kind in negatives]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")


def attribute_negatives(caption: str, bank: Bank, generator: Random) -> list[tuple[str, Kind]]:
    """The distinct negatives of one caption, each with its kind."""
    words, style = split_caption(caption)
    said = bare(words)
    mentions = bank.find(said)
    removable = _apart(mentions)
    edits: list[tuple[list[str] | None, Kind]] = []
    if removable:
        edits.append((_removed(words, removable), "remove"))
    if len(removable) > 1:
        edits.append((_removed(words, [generator.choice(removable)]), "remove"))
    if mentions:
        edits.append((_swapped(words, mentions, bank, generator), "swap"))
        edits.append((_exchanged(words, mentions, bank, generator), "swap"))
    found: dict[str, Kind] = {}
    for edited, kind in edits:
        if edited and bare(edited) != said:
            found.setdefault(style.dress([*edited[:-1], *bare(edited[-1:])]), kind)
    return list(found.items())


def _bank(
    attribute: str, lexicon: Lexicon, backgrounds: Lexicon, captions: Iterable[Phrase]
) -> Bank:
    """What `captions` (bare words) say of the attribute."""
    said: defaultdict[Phrase, Counter[Phrase]] = defaultdict(Counter)
    for words in captions:
        for mention in find_mentions(words, attribute, lexicon, backgrounds):
            spoken = words[mention.start : mention.end]
            is_place = attribute == "background"  # its plural is kept
            said[mention.value.words][spoken if is_place else mention.value.words] += 1
            if is_place and mention.removal:
                said[("phrase", *mention.value.words)][words[slice(*mention.removal)]] += 1
    return Bank(attribute, lexicon, backgrounds, dict(said))


def _apart(mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions that can be removed, one for each stretch of words, none within another's."""
    kept: list[Mention] = []
    for mention in mentions:
        if mention.removal is None:
            continue
        last = kept[-1].removal if kept else None
        if last is None or mention.removal[0] >= last[1]:
            kept.append(mention)
        elif mention.removal[0] <= last[0] and mention.removal[1] >= last[1]:
            kept[-1] = mention
    return kept


def _removed(words: list[str], mentions: Sequence[Mention]) -> list[str] | None:
    """`words` without the mentions, loose ends tied up; None when nothing is left."""
    result = list(words)
    for mention in reversed(mentions):
        begin, end = mention.removal or (mention.start, mention.start)
        comma = result[end - 1].endswith(",") and begin > 0 and not mention.filler
        result[begin:end] = mention.filler
        if comma and not result[begin - 1].endswith(","):
            result[begin - 1] += ","
        fix_article(result, begin - 1)
    # A place at the end leaves its verb behind ("a boat is"), one at the start a conjunction.
    loose = single_words("auxiliaries", "conjunctions", "articles")
    while result and bare(result[-1:])[0] in loose:
        result.pop()
    while result and bare(result[:1])[0] in single_words("conjunctions"):
        result.pop(0)
    return result or None


def _swapped(
    words: list[str], mentions: Sequence[Mention], bank: Bank, generator: Random
) -> list[str] | None:
    """One mention, picked at random, replaced by another value of the attribute."""
    mention = generator.choice(mentions)
    beside = {m.value.group for m in mentions if m.removal and m.removal == mention.removal}
    beside |= _joined(bare(words[mention.start : mention.end]), bank.lexicon)
    if bank.attribute == "background" and mention.removal:
        phrase = _draw(bank, mention, beside, generator, kind="phrase")
        if phrase is not None:
            return _replaced(words, *mention.removal, phrase)
    phrase = _draw(bank, mention, beside, generator, kind="value")
    if phrase is None:
        return None
    start = mention.start
    if bank.attribute == "relation" and phrase[0] not in single_words("prepositions"):
        start = mention.end - len(mention.value.words)  # "to the" stays before "right of"
    return _replaced(words, start, mention.end, phrase)


def _joined(words: Sequence[str], lexicon: Lexicon) -> set[str]:
    """Groups of all values in hyphenated words: "black-and-white" is swapped for neither."""
    parts = [(part,) for word in words if "-" in word for part in word.split("-")]
    return {lexicon[part].group for part in parts if part in lexicon}


def _draw(
    bank: Bank, mention: Mention, beside: set[str], generator: Random, *, kind: str
) -> Phrase | None:
    """Words of another value, the likelier the more often the corpus says them."""
    case = (kind, mention.value, frozenset(beside))
    if case not in bank.choices:
        bank.choices[case] = _choices(bank, *case)
    phrases, weights = bank.choices[case]
    return generator.choices(phrases, cum_weights=weights)[0] if phrases else None


def _choices(
    bank: Bank, kind: str, replaced: Value, beside: frozenset[str]
) -> tuple[list[Phrase], list[int]]:
    """What may stand in for a value, with cumulative weights: as said, else (values) as listed."""
    others = [
        value
        for value in bank.lexicon.values()
        if replaced.may_become(value) and value.group not in beside
    ]
    head = ("phrase",) if kind == "phrase" else ()
    spoken: Counter[Phrase] = Counter()
    for value in others:
        spoken.update(bank.said.get((*head, *value.words), {}))
    if kind == "value" and not spoken:
        spoken.update(value.words for value in others)
    phrases = sorted(spoken)
    return phrases, list(accumulate(spoken[phrase] for phrase in phrases))


def _replaced(words: list[str], start: int, end: int, phrase: Phrase) -> list[str]:
    """`words` with another phrase in that place, the comma kept, the article before it right."""
    comma = "," if words[end - 1].endswith(",") else ""
    result = [*words[:start], *phrase[:-1], phrase[-1] + comma, *words[end:]]
    fix_article(result, start - 1)
    return result


def _exchanged(
    words: list[str], mentions: Sequence[Mention], bank: Bank, generator: Random
) -> list[str] | None:
    """The values of two different things exchanged: "a blue boat and a red house"."""
    if bank.attribute in {"background", "relation"}:
        return None
    said = bare(words)
    single = [m for m in mentions if m.removal == (m.start, m.end) and m.end < len(said)]
    pairs = [
        (a, b)
        for i, a in enumerate(single)
        for b in single[i + 1 :]
        if a.value.may_become(b.value)
        and b.value.may_become(a.value)
        and head_noun(said, a.end) != head_noun(said, b.end)
    ]
    if not pairs:
        return None
    a, b = generator.choice(pairs)
    later = _replaced(words, b.start, b.end, said[a.start : a.end])
    return _replaced(later, a.start, a.end, said[b.start : b.end])
