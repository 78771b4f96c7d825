"""What a registered model says of its requests."""

from mlflow.models import ModelSignature

from dagster_project.forms import FORMS, signature
from tests.dagster_project.conftest import ROOT


def test_every_form_belongs_to_code_that_is_served():
    assert {path.stem for path in (ROOT / "mlflow").glob("*.py")} == set(FORMS)


def test_signature_survives_being_kept_and_leaves_requests_to_the_model():
    for form in FORMS.values():
        made = signature(form)
        assert ModelSignature.from_dict(made.to_dict()) == made
        assert made._is_signature_from_type_hint  # MLflow's own name: see the charter of `forms`


def test_examples_are_rows_of_the_columns():
    for form in FORMS.values():
        assert all(
            len(row) == 1 and set(row) <= set(form.inputs.input_names()) for row in form.example
        )
