"""What MLflow shows first: the policy's metric, and addresses that name what they compare."""

import json
from urllib.parse import parse_qs, urlsplit

from dagster_project import compared
from dagster_project.home import POLICY
from dagster_project.tracking import Tracker
from finecap.evaluation.promotion import load_policy


def test_the_primary_metric_is_the_policys_on_val():
    assert compared.primary() == f"val/{load_policy(POLICY).primary}"


def test_the_view_shows_captioners_best_first_with_what_decides_as_columns():
    tags = compared.experiment_tags()
    view = json.loads(tags[f"mlflow.sharedViewState.{compared.CAPTIONERS}"])
    assert view["searchFilter"] == "tags.model = 'finecap-captioner'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`val/judge_t2i_r1`", False)
    assert view["orderByKey"] in view["selectedColumns"]


def test_an_experiment_of_before_gets_todays_view_and_keeps_the_kind_that_people_chose(
    tracker: Tracker,
):
    place = (tracker.folder / "artifacts").as_uri()
    view = f"mlflow.sharedViewState.{compared.CAPTIONERS}"
    before = {compared.KIND: "a person's choice", view: "an older one"}
    number = tracker.client.create_experiment("finecap-test", place, before)
    assert tracker.experiment_id == number
    tags = tracker.client.get_experiment(number).tags
    assert tags == {**compared.experiment_tags(), compared.KIND: "a person's choice"}


def test_the_compare_page_names_runs_in_their_order():
    route = urlsplit(compared.compare_page("7", ["b", "a"])).fragment
    asked = parse_qs(urlsplit(route).query)
    assert (json.loads(asked["runs"][0]), json.loads(asked["experiments"][0])) == (
        ["b", "a"],
        ["7"],
    )
    assert asked["workflowType"] == ["machine_learning"]
