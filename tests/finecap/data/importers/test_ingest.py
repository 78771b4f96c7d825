"""Images lie in place before their line is in the journal, and what is none says why."""

import pytest

from finecap.data.importers.entry import Entry, Fault, Source
from finecap.data.importers.ingest import JOURNAL, Taken, ingest, read_journal
from finecap.log import silent


@pytest.fixture
def take(tmp_path):
    """take(*entries) is the journal's lines of a source that has these."""

    def run(*entries):
        source = Source([], "", lambda: iter(entries))
        ingest(source, tmp_path, silent, link=False)
        return list(read_journal(tmp_path / JOURNAL))

    return run


@pytest.fixture
def boat(tmp_path, photo):
    return photo(tmp_path / "source" / "boat.jpg", 1)


def test_an_image_lies_in_place_with_its_own_bytes(take, boat, tmp_path):
    [taken] = take(Entry("a/boat.jpg", boat, (" a  boat ", " . ")))
    assert isinstance(taken, Taken)
    assert (taken.image, taken.captions) == ("images/a/boat.jpg", ("a boat",))
    assert (tmp_path / taken.image).read_bytes() == boat.read_bytes()


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("boat", "images/boat.jpg"),
        ("boat.jpg.1", "images/boat.jpg.1.jpg"),
        ("images/boat.JPG", "images/boat.JPG"),
        ("a\\boat.jpg", "images/a/boat.jpg"),
    ],
)
def test_names_become_paths_with_a_suffix(take, boat, name, image):
    [taken] = take(Entry(name, boat.read_bytes(), ("a boat",)))
    assert taken.image == image


@pytest.mark.parametrize("name", ["../boat.jpg", "/etc/boat.jpg", "a//boat.jpg", "bo\nat.jpg"])
def test_names_that_lead_astray_are_refused(take, boat, tmp_path, name):
    [fault] = take(Entry(name, boat, ("a boat",), line=3))
    assert isinstance(fault, Fault)
    assert '"image"' in fault.reason
    assert not (tmp_path / "images").exists()


def test_what_is_no_image_says_why(take, boat, tmp_path):
    (tmp_path / "source" / "half.jpg").write_bytes(boat.read_bytes()[:300])
    reasons = [
        line.reason
        for line in take(
            Entry("half.jpg", tmp_path / "source" / "half.jpg", ("a boat",)),
            Entry("text.jpg", b"no image", ("a boat",)),
            Entry("gone.jpg", tmp_path / "gone.jpg", ("a boat",)),
            Entry("mute.jpg", boat, ("...", "")),
            Entry("half-text.jpg", boat, ("a boat \ud800",)),
        )
    ]
    assert "does not decode: " in reasons[0]
    assert "does not decode: it is " in reasons[1]
    assert reasons[2] == "gone.jpg cannot be read: No such file or directory"
    assert reasons[3] == "no caption with a word in it"
    assert "half a surrogate pair" in reasons[4]


def test_the_same_image_again_gives_its_captions_to_the_first(take, boat):
    first, second = take(Entry("b.jpg", boat, ("one",)), Entry("b.jpg", boat, ("two",)))
    assert (first.again, second.again) == (False, True)


def test_a_journal_that_ends_inside_a_line_is_cut(take, boat, tmp_path):
    take(Entry("b.jpg", boat, ("one",)))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"image": "ima')
    assert len(list(read_journal(journal))) == 1
    assert journal.read_bytes() == whole
