import sys

import pytest

from finecap.search.engines import URL_VARIABLE, open_index
from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex
from finecap.search.postgres import PostgresIndex
from finecap.search.query import Has
from finecap.search.searcher import Searcher


def test_the_environment_chooses_and_the_folder_is_the_default(tmp_path, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    assert isinstance(open_index(tmp_path), LanceIndex)
    monkeypatch.setenv(URL_VARIABLE, "postgresql://nobody@127.0.0.1/nowhere")
    assert isinstance(open_index(tmp_path), PostgresIndex)
    assert isinstance(open_index(tmp_path, ""), LanceIndex)


def test_another_scheme_is_refused_without_its_password(tmp_path):
    with pytest.raises(IndexRefused, match=r"is mysql://\.\.\., expected postgresql://") as refused:
        open_index(tmp_path, "mysql://me:secret@host/name")
    assert "secret" not in str(refused.value)


def test_a_missing_driver_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "finecap.search.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(IndexRefused, match=r"pip install 'finecap\[postgres\]'"):
        open_index(tmp_path, "postgresql://me@host/name")


def test_whoever_searches_asks_the_engine_that_the_environment_names(
    home, postgres, gallery, monkeypatch
):
    monkeypatch.setenv(URL_VARIABLE, postgres.migrated())
    index = open_index(home / "index")
    gallery.build(index, "one")
    index.promote("one", expect=None)
    hits = Searcher.open(home).search("boat colour:red", mode="words")
    assert hits == index.search(SearchRequest("boat", filter=Has("colour", "red")))
    assert not (home / "index").exists()
