from dataclasses import replace

import pytest

from finecap.log import silent
from finecap.search.history import readable_builds, with_history
from finecap.search.index import StoredCaption
from finecap.search.lance import LanceIndex


@pytest.fixture
def said(tmp_path, gallery):
    """said(build, version, captions): that build made with history, then all said of image 0."""
    index = LanceIndex(tmp_path)

    def build(name, version, captions=("a boat", "a car"), references=None):
        rows = gallery.rows(captions, gallery.vectors(len(captions)))
        rows = [replace(row, model_version=version, variant="mle") for row in rows]
        index.create(gallery.manifest(name, len(rows), created_at=name))
        earlier = readable_builds(index, silent)
        index.upsert(name, with_history(rows, index, earlier, references or {}))
        index.finish(name, lambda _: 1.0)
        return index.captions(gallery.image(0), name)

    return build


def test_people_come_first_then_models_oldest_first(said, gallery):
    said("a", "1", ("one boat", "a car"))
    said("b", "2", ("two boats", "a car"))
    people = {gallery.image(0): [StoredCaption("a boat, at last", "human")]}
    assert said("c", "3", references=people) == [
        StoredCaption("a boat", "model", "3", "mle", is_current=True),
        StoredCaption("a boat, at last", "human"),
        StoredCaption("one boat", "model", "1", "mle"),
        StoredCaption("two boats", "model", "2", "mle"),
    ]


def test_the_same_caption_of_the_same_version_is_told_once(said):
    said("a", "1")
    said("b", "1")
    assert len(said("c", "1")) == 1
    assert [stored.model_version for stored in said("d", "2")] == ["2", "1"]


def test_a_dropped_build_is_not_forgotten(said, tmp_path):
    said("a", "1")
    said("b", "2")
    LanceIndex(tmp_path).drop("a")
    assert [stored.model_version for stored in said("c", "3")] == ["3", "1", "2"]


def test_a_build_that_cannot_be_read_is_told_of_and_left_out(said, tmp_path):
    said("a", "1")
    said("b", "2")
    (tmp_path / "builds" / "a" / "blocks.json").unlink()
    lines = []
    index = LanceIndex(tmp_path)
    assert readable_builds(index, lambda line, **_: lines.append(line)) == ["b"]
    assert "build a says is not handed on" in lines[0]
    assert "build the index anew" in lines[0]


def test_what_a_persons_caption_trained_is_gathered_over_builds(said, gallery):
    def by(*models):
        return {gallery.image(0): [StoredCaption("a boat", "human", trained=models)]}

    said("a", "1", references=by("m/1"))
    said("b", "2", references=by("m/2"))
    people = [s for s in said("c", "3", references=by("m/2")) if s.source == "human"]
    assert people == [StoredCaption("a boat", "human", trained=("m/1", "m/2"))]
