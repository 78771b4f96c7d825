"""The suite asks for what it says, and every bound of the config is in it."""

import pytest

from finecap.config import ValidationConfig
from finecap.data.records_table import COLUMNS
from finecap.data.suite import checks
from finecap.data.verdicts import great_expectations


def test_names_are_unique_and_kinds_exist():
    suite = checks(ValidationConfig())
    assert len({check.name for check in suite}) == len(suite)
    assert all(hasattr(great_expectations().expectations, check.kind) for check in suite)


def test_columns_exist():
    asked = {check.arguments.get("column") for check in checks(ValidationConfig())}
    assert asked - {None} <= set(COLUMNS)


@pytest.mark.parametrize(
    ("field", "name", "argument"),
    [
        ("min_captions", "caption_count", "min_value"),
        ("max_caption_words", "caption_length", "max_value"),
        ("min_side", "image_not_small", "min_value"),
        ("max_side", "image_not_large", "max_value"),
        ("min_spread", "image_not_blank", "min_value"),
        ("max_aspect", "image_aspect", "max_value"),
    ],
)
def test_each_bound_of_the_config_is_asked_for(field, name, argument):
    config = ValidationConfig.model_validate({field: 77})
    [check] = [check for check in checks(config) if check.name == name]
    assert check.arguments[argument] == 77
    assert "77" in check.title
