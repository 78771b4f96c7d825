"""Where state lives."""

from pathlib import Path

import pytest

from dagster_project.home import Home, HomeError, home_of, profile_in


def test_scenes_lives_in_var_and_others_below():
    root = home_of("scenes", {}).root
    assert home_of("scenes", {}).path == root / "var"
    assert home_of("smoke", {}).path == root / "var" / "smoke"


def test_finecap_home_names_the_folder_outright(tmp_path: Path):
    assert home_of("smoke", {"FINECAP_HOME": str(tmp_path)}).path == tmp_path


def test_profile_defaults_to_scenes():
    assert profile_in({}) == "scenes"
    assert profile_in({"FINECAP_PROFILE": "smoke"}) == "smoke"


def test_home_of_another_profile_is_refused(tmp_path: Path):
    home = Home(tmp_path, tmp_path / "home")
    home.claim("scenes")
    home.claim("scenes")
    with pytest.raises(HomeError, match="holds profile 'scenes', expected 'smoke'"):
        home.claim("smoke")
