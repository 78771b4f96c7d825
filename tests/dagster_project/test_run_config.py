"""Run configs are the library's settings and `force`, nothing else."""

import pytest
from pydantic import ValidationError

from dagster_project.run_config import ScstRun, settings, settings_dump, with_defaults
from finecap.config import ScstConfig

PROFILE = ScstConfig(steps=7, weights={"cider": 1.0})


def test_profile_values_are_defaults():
    assert with_defaults(ScstRun, PROFILE)().steps == 7


def test_settings_are_the_librarys_own_class():
    chosen = settings(with_defaults(ScstRun, PROFILE)(force=True), ScstConfig)
    assert chosen == PROFILE
    assert type(chosen) is ScstConfig


def test_force_enters_no_data_version():
    run = with_defaults(ScstRun, PROFILE)
    assert settings_dump(run(force=True)) == settings_dump(run()) == PROFILE.model_dump(mode="json")


def test_unknown_field_and_value_out_of_bounds_are_refused():
    run = with_defaults(ScstRun, PROFILE)
    with pytest.raises(ValidationError, match="stepz"):
        run(stepz=1)
    with pytest.raises(ValidationError, match="greater than"):
        settings(run(steps=0), ScstConfig)
