"""The ways a caption goes wrong, one function per kind: words in, corrupted words out.

The first five are the published method's (Cho et al. 2022, "Fine-grained Image Captioning with CLIP
Reward", section 3.2: repeat, remove, insert, swap, shuffle, on 1-3 words). The others are what
captioners do once a CLIP reward has spoilt them, and what a head trained on the five alone lets
pass: cut-off endings, "a umbrella", "on the night", a phrase said twice, "boat red a",
lists of words, noun phrases strung together.

A function returns None where its kind does not apply, and never checks its result against
the corpus beyond what the kind itself needs: `grammar.corrupt` does.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from random import Random

from finecap.negatives.corpus import END, Corpus, chunked, find_links
from finecap.negatives.lexicons import all_function_words, single_words
from finecap.negatives.words import bare, fix_article, indefinite_article

Words = list[str]
Corruption = Callable[[Words, Corpus, Random], Words | None]

AGAIN_LATER = 0.3  # share of repeated phrases that return at the caption's end, not at once
EXTRA_WORDS = 0.3  # share of word lists that take in words of elsewhere
OWN_PREPOSITIONS = 0.8  # share of prepositions taken from those odd here that the corpus uses
OTHER_COMPLEMENT = 0.4  # share of prepositions whose complement changes too
APPENDED = 0.75  # share of run-ons after the caption, not before


def _run(words: Words, generator: Random, most: int = 3) -> tuple[int, int]:
    """Start and end of a random run of 1 to `most` words."""
    size = generator.randint(1, min(most, len(words)))
    start = generator.randrange(len(words) - size + 1)
    return start, start + size


def _heads(generator: Random) -> bool:
    """A fair coin."""
    return generator.random() < 0.5  # noqa: PLR2004


def repeat(words: Words, _corpus: Corpus, generator: Random) -> Words:
    """A run of words said again; a single word sometimes two or three times."""
    start, end = _run(words, generator)
    copies = generator.choice((1, 1, 1, 2, 3)) if end - start == 1 else 1
    return words[:end] + words[start:end] * copies + words[end:]


def remove(words: Words, _corpus: Corpus, generator: Random) -> Words | None:
    """One to three words missing, together or scattered, the last ones included."""
    if len(words) == 1:
        return None
    count = generator.randint(1, min(3, len(words) - 1))
    if _heads(generator):
        start = generator.randrange(len(words) - count + 1)
        return words[:start] + words[start + count :]
    gone = set(generator.sample(range(len(words)), count))
    return [word for i, word in enumerate(words) if i not in gone]


def insert(words: Words, corpus: Corpus, generator: Random) -> Words:
    """One to three words of the corpus put anywhere, before the first and after the last too."""
    result = list(words)
    for _ in range(generator.randint(1, 3)):
        result.insert(generator.randint(0, len(result)), corpus.draw_word(generator))
    return result


def swap(words: Words, _corpus: Corpus, generator: Random) -> Words | None:
    """Two words exchanged, or three in a circle."""
    if len(words) == 1:
        return None
    places = generator.sample(range(len(words)), min(len(words), generator.choice((2, 2, 3))))
    result = list(words)
    for here, there in zip(places, places[1:] + places[:1], strict=True):
        result[here] = words[there]
    return result


def shuffle(words: Words, _corpus: Corpus, generator: Random) -> Words | None:
    """Two or three neighbours in another order."""
    if len(words) == 1:
        return None
    size = generator.randint(2, min(3, len(words)))
    start = generator.randrange(len(words) - size + 1)
    run = words[start : start + size]
    generator.shuffle(run)
    return words[:start] + run + words[start + size :]


def cut_off(words: Words, _corpus: Corpus, generator: Random) -> Words:
    """Ends in an article, preposition or conjunction: "a dog on a"."""
    links = single_words("prepositions", "conjunctions")
    function = links | single_words("articles")
    places = [i for i, word in enumerate(words) if i and word in function and word.isalpha()]
    if places and _heads(generator):
        return words[: generator.choice(places) + 1]
    ending = [generator.choice(sorted(links))]
    if _heads(generator):
        ending.append(generator.choice(sorted(single_words("articles"))))
    size = len(words) if _heads(generator) else generator.randint(1, len(words))
    kept = words[:size]
    while len(kept) > 1 and kept[-1] in function:
        kept.pop()
    return kept + ending


def article(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """An a for an an or the reverse, an article dropped, doubled, or put where none belongs."""
    articles = single_words("articles")
    places = [i for i, word in enumerate(words) if word in articles and i + 1 < len(words)]
    if not places:
        at = generator.randrange(len(words))
        return [*words[:at], generator.choice(("a", "an", "the")), *words[at:]]
    at = generator.choice(places)
    way = generator.choice(("flip", "flip", "drop", "double", "insert"))
    if way == "flip":
        return _flipped(words, corpus, generator)
    if way == "drop":
        return words[:at] + words[at + 1 :]
    if way == "double":
        second = generator.choice((words[at], "a", "the"))
        return [*words[:at], *generator.sample((second, words[at]), 2), *words[at + 1 :]]
    at = generator.randrange(len(words))
    return [*words[:at], indefinite_article(words[at]), *words[at:]]


def _flipped(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """Exchanged a and an at one or all places where the corpus agrees that it is wrong."""
    other = {"a": "an", "an": "a"}
    places = [
        i
        for i, (word, following) in enumerate(pairwise(words))
        if word in other and corpus.is_wrong_article(other[word], following)
    ]
    if not places:
        return None
    flipped = generator.sample(places, generator.choice((1, 1, len(places))))
    return [other[word] if i in flipped else word for i, word in enumerate(words)]


def preposition(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """Another preposition, or the right one with a complement it does not take ("at the night").

    What the corpus shows others do in this frame but never this preposition is wrong; anything
    else is None, as "in the sea" and "on the sea" are both said somewhere.
    """
    prepositions = single_words("prepositions")
    places = [i for i, word in enumerate(words[:-1]) if i and word in prepositions]
    if not places:
        return None
    at = generator.choice(places)
    after = list(bare(words[at + 1 :]))
    if generator.random() < OTHER_COMPLEMENT:
        has_article = after[0] in single_words("articles")
        article_or_none = generator.choice(([], ["the"], ["a"]))
        after = [*article_or_none, *(after[1:] if has_article else after)]
    if not after:
        return None
    chosen = None
    if generator.random() < OWN_PREPOSITIONS:
        chosen = corpus.draw_odd_preposition([*after, END], generator)
    chosen = chosen or generator.choice(sorted(prepositions))
    result = [*words[:at], chosen, *after]
    is_wrong = corpus.is_odd_preposition(chosen, [*after, END]) or not corpus.may_be_correct(
        bare(result)
    )
    return result if is_wrong else None


def frame(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """A noun in the frame of another phrase: "in the city", so "in the night"; "and a white night".

    Wrong where the corpus never has the noun with that preposition, or with that article.
    """
    chunks = chunked(words)
    places = [i for i, chunk in enumerate(chunks) if len(chunk) > 1]
    if not places or not corpus.openings:
        return None
    at = generator.choice(places)
    link, start = corpus.draw_opening(generator)
    noun = bare(chunks[at])[-1]
    complement = [*start, noun]
    fix_article(complement, 0)
    has_link = at > 0 or _begins_with_link(chunks[0])
    is_odd = corpus.is_odd_noun(complement) or (
        has_link
        and link[-1] in single_words("prepositions")
        and corpus.is_odd_preposition(link[-1], [*complement, END])
    )
    if not is_odd or noun in all_function_words():
        return None
    phrase = (*link, *complement) if has_link else tuple(complement)
    return [word for part in (*chunks[:at], phrase, *chunks[at + 1 :]) for word in part]


def _begins_with_link(chunk: tuple[str, ...]) -> bool:
    """Whether a preposition or conjunction comes first."""
    return any(start == 0 for start, _ in find_links(chunk))


def determiner(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """An article that others stand in for, but never this one: "in a snow", "at the night"."""
    articles = single_words("articles")
    places = [i for i, word in enumerate(words[:-1]) if word in articles]
    if not places:
        return None
    at = generator.choice(places)
    after = bare(words[at + 1 :])[0]
    odd = [a for a in ("a", "an", "the") if a != words[at] and corpus.is_odd_article(a, after)]
    return [*words[:at], generator.choice(odd), *words[at + 1 :]] if odd else None


def echo(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """A later noun phrase takes an earlier one's words: "a red cat and a red cat", or "a red boat".

    Only words that no correct caption says twice.
    """
    chunks = [bare(chunk) for chunk in chunked(words)]
    starts = [next((e - s for s, e in find_links(c) if s == 0), 0) for c in chunks]
    phrases = [chunk[start:] for chunk, start in zip(chunks, starts, strict=True)]
    said_once = [len(p) > 1 and p[-1] not in corpus.twice for p in phrases]
    pairs = [
        (i, j)
        for j in range(1, len(chunks))
        for i in range(j)
        if said_once[i] and len(phrases[j]) > 1
    ]
    if not pairs:
        return None
    i, j = generator.choice(pairs)
    echoed, modifier = list(phrases[i]), phrases[i][-2]
    if _heads(generator) and modifier not in corpus.twice | all_function_words():
        before = list(phrases[j][: max(1, len(phrases[j]) - 2)])
        echoed = [*before, modifier, phrases[j][-1]]
        fix_article(echoed, 0)
    parts = [*chunks[:j], (*chunks[j][: starts[j]], *echoed), *chunks[j + 1 :]]
    return [word for part in parts for word in part]


def repeated_phrase(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """A whole phrase said again, at once or at the end: "on the beach on the beach"."""
    chunks = chunked(words)
    size = generator.choice((1, 1, 2)) if len(chunks) > 1 else 1
    start = generator.randrange(len(chunks) - size + 1)
    phrase = tuple(word for chunk in chunks[start : start + size] for word in chunk)
    if len(phrase) == 1 and len(words) > 1:
        return None
    before = sum(len(chunk) for chunk in chunks[: start + size])
    is_later = generator.random() < AGAIN_LATER and start > 0 and before < len(words)
    if not is_later:
        return [*words[:before], *phrase, *words[before:]]
    names_something = not set(phrase) <= all_function_words()
    is_new = bare(phrase) not in corpus.doubled and phrase[-1] not in all_function_words()
    return [*words, *phrase] if names_something and is_new else None


def order(words: Words, _corpus: Corpus, generator: Random) -> Words | None:
    """A phrase with its words turned round: "a boat red", "boat red a"."""
    runs = [chunk for chunk in chunked(words) if len(chunk) > 1]
    if not runs:
        return None
    chosen = generator.choice(runs)
    skipped = chosen[0] in single_words("prepositions", "conjunctions") and bool(chosen[2:])
    head, phrase = list(chosen[:skipped]), list(chosen[skipped:])
    turned = generator.choice(
        (phrase[::-1], phrase[1:] + phrase[:1], [*phrase[:-2], *phrase[:-3:-1]])
    )
    start = _place(words, chosen)
    return words[:start] + head + turned + words[start + len(chosen) :]


def _place(words: Words, chunk: tuple[str, ...]) -> int:
    """Where `chunk` begins in `words`."""
    starts = range(len(words) - len(chunk) + 1)
    return next(i for i in starts if tuple(words[i : i + len(chunk)]) == chunk)


def word_list(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """The words that name something, without what joins them, in or out of order."""
    function = all_function_words()
    named = [word for word in words if word not in function]
    if generator.random() < EXTRA_WORDS:
        drawn = (corpus.draw_word(generator) for _ in range(generator.randint(1, 3)))
        named += [word for word in drawn if word not in function]
    if _heads(generator):
        generator.shuffle(named)
    return named if len(named) > 1 else None


def missing_link(words: Words, _corpus: Corpus, generator: Random) -> Words | None:
    """A preposition, conjunction or auxiliary left out: "a red boat a house"."""
    auxiliaries = single_words("auxiliaries")
    places = [(i, i + 1) for i, word in enumerate(words) if word in auxiliaries]
    inner = [(i, j) for i, j in (*find_links(words), *places) if i and j < len(words)]
    if not inner:
        return None
    start, end = generator.choice(inner)
    return words[:start] + words[end:]


def run_on(words: Words, corpus: Corpus, generator: Random) -> Words | None:
    """A phrase of another caption put after or before this one, with nothing to join them."""
    if not corpus.chunks:
        return None
    phrase = list(generator.choice(corpus.chunks))
    if _heads(generator) and phrase[0] in single_words("prepositions", "conjunctions"):
        phrase = phrase[1:]
    return words + phrase if generator.random() < APPENDED else phrase + words


KINDS: Mapping[str, Corruption] = {
    "repeat": repeat,
    "remove": remove,
    "insert": insert,
    "swap": swap,
    "shuffle": shuffle,
    "cut_off": cut_off,
    "article": article,
    "preposition": preposition,
    "frame": frame,
    "determiner": determiner,
    "echo": echo,
    "repeated_phrase": repeated_phrase,
    "order": order,
    "word_list": word_list,
    "missing_link": missing_link,
    "run_on": run_on,
}
"""Every kind by the name it has in the table."""

ALWAYS_WRONG = frozenset(
    {"repeat", "preposition", "frame", "determiner", "echo", "repeated_phrase"}
)
"""Kinds wrong by construction, or tested within: the corpus need not confirm it by classes."""
