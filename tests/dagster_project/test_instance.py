"""Where Dagster keeps its runs is one variable's word."""

from pathlib import Path

import pytest
import yaml

from dagster_project.home import Home, HomeError
from dagster_project.instance import STORAGE, instance_folder, write_instance

SHARED = {STORAGE: "postgresql+psycopg2://me@db/dagster"}


def settings(home: Home, environ: dict[str, str]) -> dict[str, object]:
    return yaml.safe_load((write_instance(home, environ) / "dagster.yaml").read_text())


def test_storage_is_sqlite_until_a_database_is_named(tmp_path: Path):
    home = Home(tmp_path, tmp_path)
    assert instance_folder(home, {}) == home.dagster
    assert not home.dagster.exists()
    assert "storage" not in settings(home, {})
    assert settings(home, SHARED)["storage"] == {"postgres": {"postgres_url": {"env": STORAGE}}}
    assert instance_folder(home, SHARED) != home.dagster


def test_the_address_is_not_in_the_settings(tmp_path: Path):
    folder = write_instance(Home(tmp_path, tmp_path), SHARED)
    assert "me@db" not in (folder / "dagster.yaml").read_text()


def test_settings_that_a_person_changed_are_left(tmp_path: Path):
    home = Home(tmp_path, tmp_path)
    file = write_instance(home, {}) / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    write_instance(home, {})
    assert file.read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize("url", ["postgresql://me:secret@db/dagster", "mysql://me:secret@db/x"])
def test_driver_that_dagster_does_not_speak_is_refused_without_the_password(
    url: str, tmp_path: Path
):
    with pytest.raises(HomeError, match=r"expected postgresql\+psycopg2://") as error:
        write_instance(Home(tmp_path, tmp_path), {STORAGE: url})
    assert "secret" not in str(error.value)
