"""What pages show, computed before a template sees it: marked words, chips, scores, differences."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from urllib.parse import quote

from finecap.search.associations import ALT_TEXT
from finecap.search.index import Hit, StoredCaption
from finecap.search.query import ATTRIBUTES, WORD, matched_words
from finecap.server.answers import Answer, Facets
from finecap.server.asked import EVEN, Asked, Chip
from finecap.server.forms import thumbnail

SHOWN_CHIPS, UNFOLDED_CHIPS = 10, 50
"""Of a field, and how many more unfold: large galleries name 20,000 objects, most of them once."""
_WORD = re.compile(f"({WORD.pattern})")
_RRF_K = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, marked or not."""

    text: str
    is_marked: bool


@dataclass(frozen=True, slots=True)
class ChipView:
    """One value of a field: how many images have it, and where a click leads."""

    name: str
    count: int
    state: str  # "", "has" or "without"
    include: str  # addresses
    exclude: str
    drop: str


@dataclass(frozen=True, slots=True)
class FieldView:
    """The chips of one field."""

    name: str
    first: tuple[ChipView, ...]
    rest: tuple[ChipView, ...]
    rarer: int  # values that are not shown


@dataclass(frozen=True, slots=True)
class Card:
    """One hit of a page."""

    place: int
    image: str
    caption: tuple[Piece, ...]
    plain_caption: str
    scores: tuple[tuple[str, str], ...]
    address: str
    more: str
    thumbnail: str


def marked(text: str, words: Iterable[str]) -> tuple[Piece, ...]:
    """The text with those words marked, wherever they come as words."""
    wanted = set(words)
    return tuple(Piece(part, part in wanted) for part in _WORD.split(text) if part)


def cards(answer: Answer, asked: Asked) -> list[Card]:
    """The hits of an answer as a page shows them."""
    build_id = answer.manifest.build_id
    return [
        Card(
            place=place,
            image=hit.image,
            caption=marked(hit.caption, hit.matched_words),
            plain_caption=hit.caption,
            scores=scores(hit),
            address=asked.address("/images/" + quote(hit.image, safe="/")),
            more=Asked(like=hit.image).address(),
            thumbnail=thumbnail(build_id, hit.image),
        )
        for place, hit in enumerate(answer.hits, start=answer.offset + 1)
    ]


def scores(hit: Hit) -> tuple[tuple[str, str], ...]:
    """Every score there is of a hit, by name."""
    found: list[tuple[str, str]] = []
    if hit.bm25_score is not None:
        found.append(("words", f"{hit.bm25_score:.2f} (#{hit.bm25_rank})"))
    if hit.vector_score is not None:
        found.append(("picture", f"{hit.vector_score:.3f} (#{hit.vector_rank})"))
    if len(found) == 2:  # noqa: PLR2004 - words and picture
        found.append(("both", f"{hit.score:.4f}"))
    return tuple(found)


def joined(hit: Hit, asked: Asked) -> str:
    """How the hit's score came about, as a formula."""
    if asked.mode == "words":
        return "by the words' score alone"
    if asked.mode == "picture":
        return "by the picture's cosine alone"
    if asked.balance == EVEN:
        ranks = [rank for rank in (hit.bm25_rank, hit.vector_rank) if rank is not None]
        terms = " + ".join(f"1/({_RRF_K} + {rank})" for rank in ranks)
        return f"{terms} = {hit.score:.4f} (reciprocal rank fusion)"
    weight = asked.balance / 100
    return (
        f"{1 - weight:.2f} * words + {weight:.2f} * picture, each scaled to 0-1 over its ranking, "
        f"= {hit.score:.4f}"
    )


def balanced(balance: int) -> str:
    """The slider's place in words."""
    if balance in {0, 100}:
        return "by the words alone" if balance == 0 else "by the picture alone"
    if balance == EVEN:
        return "both alike"
    return f"{100 - balance} % words, {balance} % picture"


def fields(facets: Facets, asked: Asked) -> list[FieldView]:
    """Chips by field, most frequent value first; fields that nothing has are left out."""
    return [_field(name, counts, asked) for name in ATTRIBUTES if (counts := facets.get(name))]


def chosen(asked: Asked) -> list[ChipView]:
    """The chips that are set."""
    return [_chip(chip, 0, asked) for chip in (*asked.has, *asked.without)]


def versions(captions: Sequence[StoredCaption]) -> dict[str, StoredCaption]:
    """What there is to compare, by a name to show: each model version, and people by number."""
    found: dict[str, StoredCaption] = {}
    people = 0
    for stored in captions:
        if stored.variant == ALT_TEXT:
            found["alternative text"] = stored
        elif stored.source == "human":
            people += 1
            found[f"person {people}"] = stored
        else:
            name = stored.variant or "model"
            found[f"{name} · {stored.model_version[:12]}"] = stored
    return found


def side(caption: str, other: str, words: str) -> tuple[tuple[Piece, ...], tuple[str, ...]]:
    """The caption with what the other does not say marked, and which words of a query it says."""
    mine, theirs = _WORD.split(caption), _WORD.split(other)
    pieces: list[Piece] = []
    for kind, start, stop, _, _ in SequenceMatcher(None, mine, theirs, False).get_opcodes():
        text = "".join(mine[start:stop])
        told = "" if kind == "equal" else text.strip()  # spaces at its ends are not marked
        before, _, after = text.partition(told) if told else (text, "", "")
        parts = (Piece(before, False), Piece(told, True), Piece(after, False))
        pieces += [piece for piece in parts if piece.text]
    return tuple(pieces), matched_words(words, caption)


def _field(name: str, counts: Mapping[str, int], asked: Asked) -> FieldView:
    common = islice(counts.items(), SHOWN_CHIPS + UNFOLDED_CHIPS)
    chips = tuple(_chip(Chip(name, value), count, asked) for value, count in common)
    return FieldView(name, chips[:SHOWN_CHIPS], chips[SHOWN_CHIPS:], len(counts) - len(chips))


def _chip(chip: Chip, count: int, asked: Asked) -> ChipView:
    state = "has" if chip in asked.has else "without" if chip in asked.without else ""
    return ChipView(
        name=chip.value if count else str(chip).replace(":", ": ", 1),
        count=count,
        state=state,
        include=asked.toggled(chip, into="has").address(),
        exclude=asked.toggled(chip, into="without").address(),
        drop=asked.toggled(chip).address(),
    )
