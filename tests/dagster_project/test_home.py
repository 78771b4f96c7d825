"""Where state lives."""

from pathlib import Path

import pytest

from dagster_project.home import MLFLOW, PORTS, Home, HomeError, home_of, profile_in


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


def test_port_is_the_variables_or_the_usual_one():
    assert MLFLOW.number({}) == MLFLOW.number({"FINECAP_MLFLOW_PORT": ""}) == 5000
    assert MLFLOW.address({"FINECAP_MLFLOW_PORT": "5001"}) == "http://localhost:5001"


@pytest.mark.parametrize("said", ["x", "0", "-1", "65536", "5000.0"])
def test_what_is_no_port_is_refused_by_the_variables_name(said: str):
    with pytest.raises(HomeError, match=f"FINECAP_MLFLOW_PORT is '{said}', expected a port"):
        MLFLOW.number({"FINECAP_MLFLOW_PORT": said})


def test_servers_of_one_machine_have_ports_of_their_own():
    assert len({port.usual for port in PORTS}) == len({port.variable for port in PORTS})
    assert len({port.usual for port in PORTS}) == len(PORTS)
