"""Answers of a build that goes away, of models that do not fit, and of images that were sent."""

import shutil
from pathlib import Path

import pytest

from finecap.config import ServeConfig
from finecap.search.index import IndexRefused
from finecap.search.query import QueryError
from finecap.server.asked import Asked
from finecap.server.cursors import Cursor
from finecap.server.refusals import Refused
from finecap.server.service import Service


@pytest.fixture
def service(gallery_home: Path) -> Service:
    return Service(gallery_home, gallery_home, ServeConfig())


def test_a_question_is_answered_once(service: Service):
    asked = Asked(q="boat", mode="words")
    assert service.answers.answer(asked) is service.answers.answer(asked)


def test_a_cursor_of_a_build_that_never_was_is_gone(service: Service):
    asked = Asked(q="boat")
    with pytest.raises(Refused, match="build never is no longer kept"):
        service.answers.answer(asked, str(Cursor("never", 24, asked.digest)))


def test_pages_end(service: Service):
    asked = Asked(q="boat")
    build_id = service.builds.live().build_id
    with pytest.raises(Refused, match="pages end after 10000 images"):
        service.answers.answer(asked, str(Cursor(build_id, 10_000, asked.digest)))


def test_a_query_that_cannot_be_read_is_refused_first(service: Service):
    with pytest.raises(QueryError, match="unknown field"):
        service.answers.answer(Asked(q="kind:red"))


def test_an_image_sent_to_other_models_is_gone(service: Service):
    from PIL import Image

    vector = service.models.text_vector(service.builds.live(), "a boat")
    sent = service.kept.keep(Image.new("RGB", (8, 8)), "a boat", vector, "other")
    with pytest.raises(Refused, match="models changed since"):
        service.answers.answer(Asked(like=sent.key))


def test_without_its_encoder_words_are_still_answered(gallery_home: Path, tmp_path: Path):
    home = tmp_path / "home"
    shutil.copytree(gallery_home / "index", home / "index")
    answers = Service(home, home, ServeConfig()).answers
    assert answers.answer(Asked(q="boat", mode="words")).hits
    with pytest.raises((FileNotFoundError, IndexRefused)):
        answers.answer(Asked(q="boat"))
