"""What the corpus of correct captions says about whether a word sequence may be correct.

An edit of a caption is a negative only if it is wrong. There is no grammar to ask: what stands
here is counted from the captions alone, so it serves any corpus, photographs or drawings. The
test errs towards calling a sequence correct: a lost negative costs little, a correct caption
labelled wrong teaches the grammar head to punish what is right.

Only sequences count as evidence of an error that hold up against the corpus' size: a word
sequence never seen may be rare, so `may_be_correct` looks at word classes; a preposition never
seen in a frame that others fill often is wrong there, so `is_odd_preposition` looks at words.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, pairwise
from random import Random

from finecap.negatives.lexicons import all_function_words, function_words, single_words
from finecap.negatives.word_classes import word_classes
from finecap.negatives.words import key

OPENING_WORDS = 5  # of a phrase without its last word, which may be put before another noun
FRAME_SUPPORT = 12  # times a frame must occur before a preposition missing from it is evidence
NOUN_SUPPORT = 50  # times a noun must follow prepositions before one missing is evidence
ARTICLE_RATIO = 0.02  # share of slips such as "a hour" that a corpus is allowed

ARTICLES = ("a", "an", "the")
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """Counts over the distinct captions, and draws from them. Build it with `read_corpus`."""

    keys: frozenset[tuple[str, ...]]
    classes: dict[str, str]
    class_grams: frozenset[Gram]  # class bigrams and trigrams
    pairs: Counter[Gram]  # word bigrams
    frames: dict[Gram, Counter[str]]  # the two words after a preposition: which ones
    after_preposition: Counter[str]  # words that directly follow a preposition
    chunks: tuple[tuple[str, ...], ...]
    openings: tuple[tuple[Gram, Gram], ...]  # of chunks that end in a noun: the link, the rest
    opening_weights: list[int] = field(repr=False)  # cumulative
    noun_articles: dict[str, Counter[str]]  # by last word of a chunk: its article, "" for none
    noun_prepositions: dict[str, Counter[str]]  # by last word of a chunk: what it begins with
    doubled: frozenset[tuple[str, ...]]  # phrases that some correct caption says twice
    twice: frozenset[str]  # words that some correct caption has twice
    vocabulary: tuple[str, ...]
    weights: list[float] = field(repr=False)  # cumulative, of `vocabulary`
    prepositions: dict[str, int]  # and how often each begins a chunk by itself

    def draw_word(self, generator: Random) -> str:
        """A word of the corpus; frequent ones are likelier, by the root of their count."""
        return generator.choices(self.vocabulary, cum_weights=self.weights)[0]

    def draw_odd_preposition(self, complement: Sequence[str], generator: Random) -> str | None:
        """A preposition that is odd before `complement`, or None; as likely as it is frequent.

        Frequent ones are what a captioner puts in the wrong place: "in the beach".
        """
        odd = [p for p in self.prepositions if self.is_odd_preposition(p, complement)]
        weights = [self.prepositions[p] for p in odd]
        return generator.choices(odd, weights)[0] if odd else None

    def draw_opening(self, generator: Random) -> tuple[Gram, Gram]:
        """What comes before a noun, as "in front of" and "a red"; frequent ones are likelier."""
        return generator.choices(self.openings, cum_weights=self.opening_weights)[0]

    def may_be_correct(self, words: Sequence[str]) -> bool:
        """Whether each bigram and trigram of bare words, boundaries included, occurs by class."""
        classes = [START, *[self.classes.get(word, UNKNOWN) for word in words], END]
        grams = self.class_grams
        return all(gram in grams for gram in pairwise(classes)) and all(
            gram in grams for gram in zip(classes, classes[1:], classes[2:], strict=False)
        )

    def is_odd_noun(self, phrase: Sequence[str]) -> bool:
        """Whether the noun at the end of `phrase` often occurs, but never with this article.

        "a white night" where "night" is only seen alone, "dogs" after "a".
        """
        seen = self.noun_articles.get(phrase[-1])
        article = _article(phrase)
        if seen is None or article is None:
            return False
        return seen[article] == 0 and seen.total() >= FRAME_SUPPORT

    def is_odd_preposition(self, preposition: str, complement: Sequence[str]) -> bool:
        """Whether others often stand before the first two words of `complement`, but never it.

        Also whether they do before its noun ("in a sandy beach", where deserts are sandy too), and
        whether the word after an article often comes without one or with another, but never with
        that one: "at the night", "in a sea".
        """
        noun = chunked([word for word in complement if word != END])[0][-1]
        before = self.noun_prepositions.get(noun, Counter[str]())
        if before[preposition] == 0 and before.total() >= NOUN_SUPPORT:
            return True
        first, second = complement[:2]
        if first in ARTICLES and self.pairs[first, second] == 0:
            return self.after_preposition[second] >= FRAME_SUPPORT or self.is_odd_article(
                first, second
            )
        seen = self.frames.get((first, second))
        return seen is not None and seen[preposition] == 0 and seen.total() >= FRAME_SUPPORT

    def is_odd_article(self, article: str, word: str) -> bool:
        """Whether other articles often stand before `word`, but never this one."""
        others = sum(self.pairs[other, word] for other in ARTICLES if other != article)
        return self.pairs[article, word] == 0 and others >= FRAME_SUPPORT

    def is_wrong_article(self, article: str, word: str) -> bool:
        """Whether `article` ("a" or "an") before `word` goes against the corpus' use."""
        other = "an" if article == "a" else "a"
        return self.pairs[article, word] <= ARTICLE_RATIO * self.pairs[other, word]


def find_links(words: Sequence[str]) -> list[tuple[int, int]]:
    """(start, end) of each preposition and conjunction; "next to" is one."""
    links: list[tuple[int, int]] = []
    entries = _links_by_first_word()
    at = 0
    while at < len(words):
        for entry in entries.get(words[at], ()):
            if tuple(words[at : at + len(entry)]) == entry:
                links.append((at, at + len(entry)))
                at += len(entry) - 1
                break
        at += 1
    return links


@cache
def _links_by_first_word() -> dict[str, list[Gram]]:
    """Prepositions and conjunctions, multi-word ones included, the longest first."""
    entries: defaultdict[str, list[Gram]] = defaultdict(list)
    for entry in function_words("prepositions") | function_words("conjunctions"):
        entries[entry[0]].append(entry)
    return {word: sorted(found, key=len, reverse=True) for word, found in entries.items()}


def chunked(words: Sequence[str]) -> list[Gram]:
    """`words` cut before each preposition or conjunction, and after each comma."""
    starts = {start for start, _ in find_links(words)}
    chunks: list[list[str]] = []
    for i, word in enumerate(words):
        if i == 0 or i in starts or words[i - 1].endswith(","):
            chunks.append([])
        chunks[-1].append(word)
    return [tuple(chunk) for chunk in chunks]


def read_corpus(captions: Iterable[str]) -> Corpus:
    """The counts of `captions`, the same for any order of them."""
    keys = frozenset(key(caption) for caption in captions)
    sentences = sorted(keys)
    classes = word_classes(sentences, all_function_words())
    counts = Counter(word for sentence in sentences for word in sentence)
    vocabulary = tuple(sorted(counts))
    chunks = [chunked(sentence) for sentence in sentences]
    distinct = tuple(sorted({chunk for line in chunks for chunk in line if len(chunk) > 1}))
    leading = single_words("prepositions")
    parts = [_split_link(chunk) for line in chunks for chunk in line]
    alone = Counter(link[0] for link, _ in parts if len(link) == 1)
    frames = _frames(sentences)
    openings = _openings(parts)
    after: Counter[str] = Counter()
    for (following, _), preceding in frames.items():
        after[following] += preceding.total()
    return Corpus(
        keys=keys,
        classes=classes,
        class_grams=_class_grams(sentences, classes),
        pairs=Counter(pair for s in sentences for pair in pairwise(s)),
        frames=frames,
        after_preposition=after,
        chunks=distinct,
        openings=tuple(openings),
        opening_weights=list(accumulate(openings.values())),
        noun_articles=_noun_articles(parts),
        noun_prepositions=_noun_prepositions(parts),
        doubled=frozenset(c for line in chunks for c, n in Counter(line).items() if n > 1),
        twice=frozenset(w for s in sentences for w, n in Counter(s).items() if n > 1),
        vocabulary=vocabulary,
        weights=list(accumulate(counts[word] ** 0.5 for word in vocabulary)),
        prepositions={word: alone[word] for word in sorted(leading & alone.keys())},
    )


def _split_link(chunk: Gram) -> tuple[Gram, Gram]:
    """The preposition or conjunction a chunk begins with, and what follows it."""
    end = next((end for start, end in find_links(chunk) if start == 0), 0)
    return chunk[:end], chunk[end:]


def _article(phrase: Sequence[str]) -> str | None:
    """How a phrase begins: "a" (or an), "the", "" for no article; None for another determiner."""
    if phrase[0] in ARTICLES:
        return "the" if phrase[0] == "the" else "a"
    return None if phrase[0] in single_words("determiners") else ""


def _openings(parts: Iterable[tuple[Gram, Gram]]) -> dict[tuple[Gram, Gram], int]:
    """How often each link and what follows it, but for the last word, begins a chunk."""
    counts = Counter(
        (link, phrase[:-1])
        for link, phrase in parts
        if link and phrase and len(link) + len(phrase) <= OPENING_WORDS + 1
    )
    return dict(sorted(counts.items()))


def _noun_articles(parts: Iterable[tuple[Gram, Gram]]) -> dict[str, Counter[str]]:
    """By last word of a chunk: how often it had which article."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, phrase in parts:
        article = _article(phrase) if phrase else None
        if article is not None:
            counts[phrase[-1]][article] += 1
    return dict(counts)


def _noun_prepositions(parts: Iterable[tuple[Gram, Gram]]) -> dict[str, Counter[str]]:
    """By last word of a chunk: how often the chunk began with which preposition (its last word)."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    prepositions = single_words("prepositions")
    for link, phrase in parts:
        if link and phrase and link[-1] in prepositions:
            counts[phrase[-1]][link[-1]] += 1
    return dict(counts)


def _class_grams(sentences: Sequence[Gram], classes: dict[str, str]) -> frozenset[Gram]:
    """Bigrams and trigrams of classes, sentence boundaries included."""
    grams: set[Gram] = set()
    for sentence in sentences:
        line = [START, *(classes[word] for word in sentence), END]
        grams.update(pairwise(line))
        grams.update(zip(line, line[1:], line[2:], strict=False))
    return frozenset(grams)


def _frames(sentences: Sequence[Gram]) -> dict[Gram, Counter[str]]:
    """For two words, or the last one and the end: how often each preposition precedes them."""
    prepositions = single_words("prepositions")
    frames: defaultdict[Gram, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        line = (*sentence, END)
        for i, word in enumerate(sentence[:-1]):
            if word in prepositions:
                frames[line[i + 1], line[i + 2]][word] += 1
    return dict(frames)
