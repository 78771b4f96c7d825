"""What is registered of a model: code that exists, and requirements that others can install."""

from pathlib import Path

import pytest

from dagster_project.served import model_of, requirements

ROOT = Path(__file__).resolve().parents[2]


def test_requirements_pin_what_is_installed_without_build_tags():
    pins = requirements()
    assert pins[0].startswith("finecap==")
    assert not [pin for pin in pins if "+" in pin]


@pytest.mark.parametrize("kind", ["captioner", "encoder"])
def test_a_model_of_each_kind_has_its_code_and_says_what_goes_in_and_comes_out(kind: str):
    model = model_of("finecap-x", "x", kind, ROOT)
    assert model.code.is_file()
    assert "image" in model.signature.inputs.input_names()
    assert model.signature.outputs is not None
    assert set(model.example[0]) <= set(model.signature.inputs.input_names())
