from pathlib import Path

from finecap.home import home_folder


def test_home_is_taken_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path))
    assert home_folder() == tmp_path


def test_home_is_var_beside_whoever_asks_where_none_is_named(monkeypatch):
    monkeypatch.setenv("FINECAP_HOME", "")
    assert home_folder() == Path("var")
