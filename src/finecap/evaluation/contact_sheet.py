"""Sample captions beside their images: what numbers cannot show of a captioner.

Words that differ from the first variant's caption (maximum likelihood, in the leaderboard) are
marked. What is not here: choosing variants, and the web page, which lays the same samples out anew.
"""

import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from finecap.data.transforms import load_image

COLUMNS = 3
CELL_WIDTH = 520  # pixels, as all sizes below
MARGIN = 16
IMAGE_SIDE = 240
LINE = 19
FONT_SIZE = 14

INK, FAINT, PAPER, MARK = "#1b1f24", "#6a737d", "#ffffff", "#ffe08a"


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with what people and captioners say of it."""

    image: Path
    reference: str
    captions: Mapping[str, str]  # by variant, the one compared with first


def differing(caption: str, compared_with: str) -> list[tuple[str, bool]]:
    """The caption's words, each with whether it is absent at its place in `compared_with`.

    >>> differing("a red boat at night", "a boat at sea")
    [('a', False), ('red', True), ('boat', False), ('at', False), ('night', True)]
    """
    words, others = caption.split(), compared_with.split()
    marks = [True] * len(words)
    matcher = difflib.SequenceMatcher(a=others, b=words, autojunk=False)
    for block in matcher.get_matching_blocks():
        marks[block.b : block.b + block.size] = [False] * block.size
    return list(zip(words, marks, strict=True))


def spread(items: Sequence[str], count: int) -> list[str]:
    """`count` items at even distances over the sorted sequence, so that no one picked them."""
    ranked = sorted(items)
    count = min(count, len(ranked))
    return [ranked[i * len(ranked) // count] for i in range(count)]


def draw(samples: Sequence[Sample]) -> bytes:
    """The contact sheet as a PNG file's bytes.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not samples:
        raise ValueError("a contact sheet needs at least one sample, came none")
    columns = min(COLUMNS, len(samples))
    fonts = _Fonts()
    rows = [samples[i : i + columns] for i in range(0, len(samples), columns)]
    heights = [max(_height(sample, fonts) for sample in row) for row in rows]
    sheet = Image.new("RGB", (columns * CELL_WIDTH + MARGIN, sum(heights) + MARGIN), PAPER)
    canvas, top = ImageDraw.Draw(sheet), MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, sample in enumerate(row):
            _draw_cell(sheet, canvas, sample, (MARGIN + column * CELL_WIDTH, top), fonts)
        top += height
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG")
    return encoded.getvalue()


class _Fonts:
    """DejaVu Sans, which matplotlib ships: the same letters on every machine."""

    def __init__(self) -> None:
        folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self.text = ImageFont.truetype(folder / "DejaVuSans.ttf", FONT_SIZE)
        self.bold = ImageFont.truetype(folder / "DejaVuSans-Bold.ttf", FONT_SIZE - 2)


Word = tuple[str, bool]


def _wrapped(words: Sequence[Word], fonts: _Fonts) -> list[list[Word]]:
    """Words in lines no wider than a cell's text."""
    width = CELL_WIDTH - MARGIN
    lines: list[list[Word]] = [[]]
    used = 0.0
    for word in words:
        length = fonts.text.getlength(word[0] + " ")
        if lines[-1] and used + length > width:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += length
    return lines


def _lines(sample: Sample, fonts: _Fonts) -> list[tuple[str, list[list[Word]]]]:
    """For each speaker of the cell, the wrapped lines of what it says."""
    compared_with = next(iter(sample.captions.values()), "")
    spoken = [("reference", [(word, False) for word in sample.reference.split()])]
    for variant, caption in sample.captions.items():
        spoken.append((variant, differing(caption, compared_with) or [("(empty)", True)]))
    return [(speaker, _wrapped(words, fonts)) for speaker, words in spoken]


def _height(sample: Sample, fonts: _Fonts) -> int:
    lines = sum(1 + len(wrapped) for _, wrapped in _lines(sample, fonts))
    return IMAGE_SIDE + 8 + lines * LINE + 2 * MARGIN


def _draw_cell(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    sample: Sample,
    corner: tuple[int, int],
    fonts: _Fonts,
) -> None:
    """The image, and under it each speaker's name and words."""
    left, y = corner
    image = load_image(sample.image)
    scale = IMAGE_SIDE / image.height
    width = min(round(image.width * scale), CELL_WIDTH - MARGIN)
    size = (width, round(image.height * width / image.width))
    sheet.paste(image.resize(size, Image.Resampling.BICUBIC), (left, y))
    y += IMAGE_SIDE + 8
    for speaker, wrapped in _lines(sample, fonts):
        canvas.text((left, y + 3), speaker, fill=FAINT, font=fonts.bold)
        y += LINE
        for line in wrapped:
            _draw_words(canvas, line, (left, y), fonts)
            y += LINE


def _draw_words(
    canvas: ImageDraw.ImageDraw, words: Sequence[Word], corner: tuple[int, int], fonts: _Fonts
) -> None:
    """One line; marked words on a coloured ground."""
    x, y = float(corner[0]), corner[1]
    for word, is_marked in words:
        length = fonts.text.getlength(word)
        if is_marked:
            canvas.rectangle((x - 1, y, x + length + 1, y + LINE - 2), fill=MARK)
        canvas.text((x, y), word, fill=INK, font=fonts.text)
        x += length + fonts.text.getlength(" ")
