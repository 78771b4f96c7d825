"""What captions must not have in them: markup, addresses, people's details, the file's own name.

Scraped captions carry these, and a captioner learns them by heart. All are heuristics, which look
for what is hardly ever part of a sentence about a picture. What stays out: bounds and what follows
from them (`suite`, `expectations`).
"""

import re
import unicodedata

HTML = r"</?[A-Za-z][^<>]{0,200}>|<!--|&(?:[a-z]{2,8}|#\d{2,5});"
"""A tag, a comment, or a character written as an entity."""
URL = r"(?i)\bhttps?://|\bwww\.[a-z0-9-]+\.|\b[a-z0-9-]+\.(?:com|org|net|html?|php|jpe?g|png)\b"
PERSONAL = (
    r"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}"  # an address of electronic mail
    r"|(?<![\w.])\+?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"  # a telephone
    r"|(?<![\w.])\+\d{1,3}(?:[ .-]?\d{2,4}){3,5}(?!\w)"
    r"|(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"  # social security
    r"|(?<![\w.])(?:\d{4}[ -]){3}\d{4}(?!\w)"  # a bank card
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"  # an internet address
)

# Few sentences have the signs that a fault begins with: to look for these first is five times as
# fast as the patterns alone.
_FAULTS = {
    "has_markup": (re.compile(r"[<&]"), re.compile(HTML)),
    "has_address": (re.compile(r"[.:][\w/]"), re.compile(URL)),
    "has_personal": (re.compile(r"[0-9@]"), re.compile(PERSONAL)),
}
FAULTS = tuple(_FAULTS)
"""Names of the patterns, as columns of a table."""

_ENGLISH = re.compile(
    r"\b(?:the|an|of|with|and|is|are|on|at|to|his|her|their|by|from|near|while|its|this|there)\b",
    re.IGNORECASE,
)
_TELLING = re.compile(r"\d|_")
_SHORTEST = 5  # characters of a stem that no sentence has by chance


def found(fault: str, text: str) -> str | None:
    """What of one of `FAULTS` the text has; None where it has none.

    >>> found("has_markup", "a <b>boat</b>"), found("has_address", "a boat .")
    ('<b>', None)
    """
    sign, pattern = _FAULTS[fault]
    match = pattern.search(text) if sign.search(text) else None
    return match[0] if match else None


def leaked_name(image: str, text: str) -> str | None:
    """The part of the image's file name that its text has; None where it has none.

    A stem of mere letters ("boat.jpg") is a word that a caption may well have.

    >>> leaked_name("images/IMG_2034.jpg", "IMG_2034 on the beach")
    'IMG_2034'
    >>> leaked_name("images/boat.jpg", "a boat") is None
    True
    """
    name = image.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    if name in text:
        return name
    is_telling = len(stem) >= _SHORTEST and _TELLING.search(stem)
    return stem if is_telling and stem in text else None


def foreign_share(text: str) -> float:
    """The share of the letters that are of another script than Latin; 0 where there are none.

    >>> foreign_share("a café"), foreign_share("собака dog") > 0.5
    (0.0, True)
    """
    if text.isascii():
        return 0.0
    letters = [character for character in text if character.isalpha()]
    foreign = sum(not unicodedata.name(character, "").startswith("LATIN") for character in letters)
    return foreign / len(letters) if letters else 0.0


def is_english(text: str) -> bool:
    """Whether one of the commonest English words that other languages lack is in it."""
    return _ENGLISH.search(text) is not None
