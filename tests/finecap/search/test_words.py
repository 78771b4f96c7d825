"""What tantivy answers of one build, against plain BM25 and against what filters mean."""

import stat

import numpy as np
import pytest

from finecap.search.index import IndexRefused
from finecap.search.query import FIELDS, And, Has, Not, Or, analysed, passes
from finecap.search.words import FOLDER, RankedWords, write_words
from tests.finecap.search.drawn import drawn_captions
from tests.finecap.search.oracle import PlainBM25

ROWS = 600
QUERIES = ("red boat", "boats near a white bridge", "a black cat left of a brown dog in the snow")
NIGHT, RED = Has("background", "night"), Has("colour", "red")
FILTERS = (
    RED,
    Not(RED),
    And((RED, NIGHT)),
    Or((RED, Not(NIGHT))),
    And(()),
    Or(()),
    Has("size", "x"),
)


def stems(captions):
    return [" ".join(analysed(caption)) for caption in captions]


@pytest.fixture(scope="module")
def captions():
    return drawn_captions(ROWS, 0)


@pytest.fixture(scope="module")
def values(captions):
    """Of each row: the colours that it says, and whether it is night."""
    said = [set(caption.split()) for caption in captions]
    none = dict.fromkeys(FIELDS, [()] * len(captions))
    return none | {
        "colour": [tuple(said_ & {"red", "blue", "white"}) for said_ in said],
        "background": [tuple(said_ & {"night"}) for said_ in said],
    }


@pytest.fixture(scope="module")
def folder(captions, values, tmp_path_factory):
    made = tmp_path_factory.mktemp("build")
    write_words(made, stems(captions), values)
    return made


@pytest.fixture(scope="module")
def words(folder):
    return RankedWords(folder)


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_plain_bm25(words, captions, query):
    truth = PlainBM25(captions).scores(query)
    found = dict(words.saying(query, ROWS))
    assert set(found) == set(np.flatnonzero(truth))
    assert [found[row] for row in found] == pytest.approx([truth[row] for row in found], rel=1e-4)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("filter_", [None, RED])
def test_the_best_are_a_prefix_of_all_and_ties_come_by_row(words, query, filter_):
    everything = words.saying(query, ROWS, filter_)
    assert everything == sorted(everything, key=lambda pair: (-pair[1], pair[0]))
    scores = [score for _, score in everything]
    assert len(set(scores)) < len(scores)
    for limit in (1, 7, 20, 110):
        assert words.saying(query, limit, filter_) == everything[:limit]


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_filter_takes_rows_away_and_changes_no_score(words, values, filter_):
    of_rows = [{name: values[name][row] for name in FIELDS} for row in range(ROWS)]
    everything = words.saying("red boat in the snow", ROWS)
    kept = [pair for pair in everything if passes(filter_, of_rows[pair[0]])]
    assert words.saying("red boat in the snow", ROWS, filter_) == kept


def test_all_that_say_a_word_are_found(words, captions):
    asked = set(analysed("boats bridge"))
    truth = [row for row, caption in enumerate(captions) if asked & set(analysed(caption))]
    assert sorted(words.all_saying("boats bridge")) == truth
    assert not len(words.all_saying("the of"))
    assert not len(words.all_saying("zebra"))


def test_words_are_letters_and_digits_whatever_is_written(tmp_path):
    odd = ["\ufdfa \u00bd", "it's a cafe\u0301", "x" * 70_000 + " boat", ""]
    write_words(tmp_path, stems(odd), dict.fromkeys(FIELDS, [()] * len(odd)))
    words = RankedWords(tmp_path)
    for row, text in enumerate(("\ufdfa", "Caf\u00e9", "boat")):
        assert [found for found, _ in words.saying(text, 4)] == [row]
    assert words.count() == 4


def test_reading_writes_nothing_and_needs_no_right_to(tmp_path, captions, values):
    write_words(tmp_path, stems(captions), values)
    place = tmp_path / FOLDER
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    opened = RankedWords(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    place.chmod(stat.S_IRWXU)
    for path in place.iterdir():
        path.unlink()
    assert opened.saying("boat", 3)  # once open, its files may go


def test_opening_leaves_no_links_behind(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(20):
        RankedWords(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_build_without_words_or_with_damaged_ones_is_refused(tmp_path, captions, values):
    with pytest.raises(IndexRefused, match=r"no words/, expected a build of this version"):
        RankedWords(tmp_path)
    write_words(tmp_path, stems(captions), values)
    next((tmp_path / FOLDER).glob("*.idx")).unlink()
    with pytest.raises(IndexRefused, match=r"FileDoesNotExist.*: build the index anew"):
        RankedWords(tmp_path)
