"""Ungrammatical captions for the grammar head: corruptions of correct ones, with their kind.

Why these are strong: a policy gradient finds whatever a head lets pass, so the kinds cover what
captioners were seen to say under a CLIP reward, and none is a correct caption in disguise.
Exchanging two nouns or dropping an adjective often leaves a correct caption; such a result counts
only when the corpus has no sentence of that shape (`Corpus.may_be_correct`). Everything is
learnt from the captions; no grammar of any data set is read.

What is not here: the edits themselves (`corruptions`), and negatives about what is in the image
(`attributes`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from random import Random

import pandas as pd

from finecap.config import GrammarNegativesConfig
from finecap.data.records import Record
from finecap.negatives.corpus import Corpus, read_corpus
from finecap.negatives.corruptions import ALWAYS_WRONG, KINDS
from finecap.negatives.words import Style, bare, key, split_caption

COLUMNS = ("caption", "negative", "kind")
TRIES = 3  # draws of one kind before another takes its turn
TURNS = {"preposition": 3, "frame": 3}
"""Turns of kinds that are one error per preposition and noun, so take more examples to learn; every
other kind has one (with one: "a cat in the beach" is in the table 30 times, and passes at 0.99)."""
_TURNS = [TURNS.get(kind, 1) for kind in KINDS]
ROUNDS = 4  # times that all kinds are gone through for one caption

__all__ = ["KINDS", "build_table", "corrupt"]


def corrupt(caption: str, kind: str, corpus: Corpus, generator: Random) -> str | None:
    """A corruption of `caption`, or None when this draw gave nothing certainly wrong.

    Args:
        caption: A correct caption of one word or more.
        kind: A name in `KINDS`.
        corpus: The correct captions it is judged by.
        generator: Where chance comes from; the same state gives the same text.

    Returns:
        A non-empty text that differs from `caption`, and from each caption of the corpus, in more
        than case, whitespace and punctuation.

    Raises:
        ValueError: `kind` is unknown, or `caption` has no word.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}, expected one of {', '.join(KINDS)}")
    words, style = split_caption(caption)
    if not words:
        raise ValueError(f"caption {caption!r} has no word, expected one or more")
    negative = _corrupted(words, kind, corpus, generator)
    return None if negative is None else _dressed(negative, style, corpus)


def _dressed(words: list[str], style: Style, corpus: Corpus) -> str | None:
    """The words as a caption, unless signs were all that set them apart (":" in ": a cat")."""
    text = style.dress(words)
    return None if key(text) in corpus.keys else text


def _corrupted(words: list[str], kind: str, corpus: Corpus, generator: Random) -> list[str] | None:
    """The words of one draw, unless it may be correct."""
    negative = KINDS[kind](words, corpus, generator)
    if not negative or negative == words:
        return None
    said = bare(negative)
    if said == bare(words) or said in corpus.keys:
        return None
    flips_article = kind == "article" and len(negative) == len(words)
    is_certain = kind in ALWAYS_WRONG or flips_article
    if not is_certain and corpus.may_be_correct(said):
        return None
    return [*negative[:-1], said[-1]]


def build_table(records: Sequence[Record], config: GrammarNegativesConfig) -> pd.DataFrame:
    """Corruptions of the train captions, `per_caption` for each where so many exist.

    Every kind that applies to a caption is as likely as any other. Captions are drawn half from
    `captions`, half from `alt_text` where both exist; val and test rows are not read at all. The
    table is the same for any order of `records`.

    Returns:
        Columns caption (as in the records), negative, kind; positives are the distinct captions.

    Raises:
        ValueError: no train record has a caption.
    """
    train = [record for record in records if record.split == "train"]
    short = {caption for record in train for caption in record.captions}
    long = {record.alt_text for record in train if record.alt_text}
    corpus = read_corpus(short | long)
    chosen = _chosen(short, long - short, config)
    if not chosen:
        raise ValueError(
            f"no caption to corrupt among {len(records)} records ({len(train)} of them train), "
            "expected train records with captions; check the split column"
        )
    rows = [row for caption in chosen for row in _rows(caption, corpus, config)]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")


def _chosen(short: set[str], long: set[str], config: GrammarNegativesConfig) -> list[str]:
    """At most `max_captions`, half of each kind unless one has too few, in seeded order."""
    halves = [_shuffled(captions, config.seed) for captions in (short, long)]
    room = config.max_captions
    from_long = min(len(halves[1]), max(room // 2, room - len(halves[0])))
    return _shuffled([*halves[0][: room - from_long], *halves[1][:from_long]], config.seed)


def _shuffled(captions: Iterable[str], seed: int) -> list[str]:
    """Captions that have a word, in an order that depends on seed and text alone."""

    def draw(caption: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{caption}".encode(), digest_size=8).digest()

    return sorted((c for c in captions if c.strip()), key=lambda c: (draw(c), c))


def _rows(
    caption: str, corpus: Corpus, config: GrammarNegativesConfig
) -> list[tuple[str, str, str]]:
    """The caption's rows: distinct negatives, of different kinds as far as they apply."""
    generator = Random(f"{config.seed}:{caption}")  # noqa: S311  # not for secrets
    words, style = split_caption(caption)
    found: dict[str, str] = {}
    for _ in range(ROUNDS):
        for kind in generator.sample(tuple(KINDS), sum(_TURNS), counts=_TURNS):
            for _ in range(TRIES):
                negative = _corrupted(words, kind, corpus, generator)
                text = None if negative is None else _dressed(negative, style, corpus)
                if text is not None:
                    found.setdefault(text, kind)
                    break
            if len(found) == config.per_caption:
                return [(caption, negative, kind) for negative, kind in found.items()]
    return [(caption, negative, kind) for negative, kind in found.items()]
