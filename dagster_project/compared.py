"""What MLflow shows first when runs are compared, and the addresses of its pages.

MLflow's pages choose by themselves: the runs page shows no metric, and the compare page draws the
metric that runs were given first. So the experiment carries a view, in the tag that MLflow's own
*Share* writes: all captioners, the best first, with the metrics that decide as columns. And a
captioner's run is given the primary metric before any other, as NaN, which is MLflow's sign of a
value that is not there: no search finds it, and it sorts last.

The primary metric is that of the promotion policy, on val. Everything here is pure.
"""

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from urllib.parse import quote

from dagster_project.home import MODEL_TRAINING, POLICY, mlflow_server

CAPTIONER = "finecap-captioner"
"""The registered model that holds every variant."""
CAPTIONERS = "captioners"
"""Name of the view."""
KIND = "mlflow.experimentKind"
"""Tag that people may change on the page; the others are written again when they are outdated."""
_BESIDE = (
    "val/grammatical_rate",
    "val/repetition_rate",
    "val/cider",
    "test/judge_t2i_r1",
    "test/grammatical_rate",
    "test/cider",
)
"""Metrics shown beside the primary one: fluency and likeness, and test for the report."""


@cache
def primary() -> str:
    """The metric that promotion goes by, as runs have it."""
    return f"val/{tomllib.loads(POLICY.read_text())['primary']}"


def experiment_tags() -> dict[str, str]:
    """Tags that say what a profile's experiment is, and hold the view of its captioners."""
    shown = [f"metrics.`{name}`" for name in (primary(), *_BESIDE)]
    view = {
        "searchFilter": f"tags.model = '{CAPTIONER}'",
        "orderByKey": shown[0],
        "orderByAsc": False,
        "selectedColumns": ["attributes.`Dataset`", *shown],
        "columnOrder": shown,
    }
    return {
        KIND: "custom_model_development",  # else the page is for chat agents
        "mlflow.experiment.primaryMetric.name": primary(),
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
        f"mlflow.sharedViewState.{CAPTIONERS}": json.dumps(view),
    }


def run_page(experiment: str, run_id: str) -> str:
    """Address of a run's page."""
    return f"{mlflow_server()}/#/experiments/{experiment}/runs/{run_id}?{MODEL_TRAINING}"


def captioners_page(experiment: str) -> str:
    """Address of the runs page with the view of all captioners."""
    view = f"viewStateShareKey={CAPTIONERS}&compareRunsMode=TABLE&{MODEL_TRAINING}"
    return f"{mlflow_server()}/#/experiments/{experiment}/runs?{view}"


def compare_page(experiment: str, run_ids: Sequence[str]) -> str:
    """Address of the page that compares these runs, in that order."""
    runs, experiments = (quote(json.dumps(names)) for names in (list(run_ids), [experiment]))
    return (
        f"{mlflow_server()}/#/compare-runs?runs={runs}&experiments={experiments}&{MODEL_TRAINING}"
    )
