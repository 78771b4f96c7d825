"""The questions are asked of the build that was opened, and of no other."""

from contextlib import contextmanager

import numpy as np

from finecap.search.build_reader import BuildReader, oldest_first
from finecap.search.index import Row, SearchRequest, StoredCaption
from finecap.search.query import Has


class Kept:
    """A build of one row, and what it was asked."""

    def __init__(self):
        said = StoredCaption("ein Boot", "human")
        self.row = Row("a.png", "a.png", "a boat", np.zeros(0, np.float32), others=(said,))
        self.asked = []

    def search(self, request):
        self.asked.append(request)
        return []

    def facets(self, filter_, text):
        self.asked.append((filter_, text))
        return {}

    def rows(self, images):
        return [self.row for image in images if image == self.row.image]


class Reader(BuildReader):
    def __init__(self):
        self.builds = {"live": Kept(), "old": Kept()}

    @contextmanager
    def _reading(self, build_id):
        yield self.builds[build_id or "live"]


def test_a_question_goes_to_the_live_build_or_to_the_one_named():
    reader = Reader()
    reader.search(SearchRequest("boat"))
    reader.facets(Has("colour", "red"), "boat", "old")
    assert reader.builds["live"].asked == [SearchRequest("boat")]
    assert reader.builds["old"].asked == [(Has("colour", "red"), "boat")]


def test_captions_are_those_of_the_row_the_searched_one_first():
    assert [said.caption for said in Reader().captions("a.png")] == ["a boat", "ein Boot"]
    assert Reader().captions("b.png") == []


def test_builds_are_ordered_by_time_then_by_name(gallery):
    made = [gallery.manifest(name, 1, created_at=at) for name, at in ("b2", "a2", "c1")]
    assert [build.build_id for build in oldest_first(made)] == ["c", "a", "b"]
