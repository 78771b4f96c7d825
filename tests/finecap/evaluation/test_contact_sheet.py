"""The contact sheet: what is marked, what is chosen, what is drawn."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from finecap.evaluation import contact_sheet
from finecap.evaluation.contact_sheet import Sample, differing, spread


def test_no_word_of_an_equal_caption_is_marked():
    assert not any(marked for _, marked in differing("a red boat", "a red boat"))


def test_every_word_is_marked_against_an_empty_caption():
    assert all(marked for _, marked in differing("a red boat", ""))


def test_moved_and_added_words_are_marked_and_order_is_kept():
    words = differing("a large red boat", "a boat")
    assert [word for word, marked in words if marked] == ["large", "red"]
    assert [word for word, _ in words] == ["a", "large", "red", "boat"]


def test_spread_takes_even_distances_and_never_more_than_there_is():
    assert spread([f"{i:02}" for i in range(10)], 5) == ["00", "02", "04", "06", "08"]
    assert spread(["b", "a"], 12) == ["a", "b"]


@pytest.mark.parametrize("size", [(96, 96), (640, 240), (50, 200)])
def test_sheet_shows_the_image_and_marks_differing_words(tmp_path: Path, size: tuple[int, int]):
    Image.new("RGB", size, "#0000ff").save(tmp_path / "sea.png")
    captions = {"mle": "a boat", "clip_s": "a red boat " * 12, "cider": ""}
    sample = Sample(tmp_path / "sea.png", "a boat on the sea", captions)
    sheet = Image.open(io.BytesIO(contact_sheet.draw([sample] * 5)))
    colours = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert {ImageColor.getrgb(c) for c in ("#0000ff", contact_sheet.MARK)} <= colours
    assert sheet.width == contact_sheet.COLUMNS * contact_sheet.CELL_WIDTH + contact_sheet.MARGIN


def test_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        contact_sheet.draw([])
