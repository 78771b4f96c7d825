"""Every metric is defined once, and every definition is of a metric that is computed."""

from collections import Counter

import pytest
import torch

from finecap.config import EvaluationConfig
from finecap.data.records import Record
from finecap.evaluation import scoring
from finecap.evaluation.definitions import DEFINITIONS, markdown, names
from finecap.evaluation.labels import LABELS, LOWER_IS_BETTER, WITHOUT_BEST, better
from finecap.evaluation.scorecard import score_captions
from finecap.evaluation.sheet import ScoreSheet
from finecap.evaluation.tables import GROUPS


@pytest.fixture(scope="module")
def computed() -> set[str]:
    """The names of all that an evaluation and a scorecard enter."""
    thing = {"name": "boat", "colour": "red", "size": "large"}
    facts = {"background": "sea", "objects": [thing], "relations": [], "heldout": False}
    records = [
        Record(f"{i}.png", "val", ("a boat",), facts=facts)  # type: ignore[arg-type]
        for i in range(2)
    ]
    captions = ["a boat", "a red boat"]
    config = EvaluationConfig(resamples=5, java_metrics=False)
    sheet = ScoreSheet(2, config)
    scoring.score_references(sheet, records, captions, config)
    for prefix in ("", "judge_"):
        scoring.score_retrieval(sheet, prefix, torch.eye(2), torch.eye(2))
        scoring.score_ref_clip_s(sheet, prefix, records, torch.eye(2), torch.eye(2), torch.eye(2))
    scoring.score_facts(sheet, records, captions, seed=0)
    scoring.score_grammar_head(sheet, records, captions, None)
    scoring.score_fluency(sheet, captions)
    return {*sheet.metrics, *score_captions({"1": "a boat"}, None, None, config).metrics}


def test_every_metric_is_defined_once_and_nothing_else_is(computed: set[str]):
    defined = Counter(name for row in DEFINITIONS for name in row.names)
    assert set(defined) == computed
    assert set(defined.values()) == {1}


def test_every_metric_of_a_table_or_with_a_label_is_defined():
    defined = {name for row in DEFINITIONS for name in row.names}
    assert {*LABELS, *LOWER_IS_BETTER, *WITHOUT_BEST} <= defined
    assert {name for columns in GROUPS.values() for name in columns} <= defined


def test_one_row_has_one_direction():
    for row in DEFINITIONS:
        assert len({better(name) for name in row.shown}) == 1, row.shown


def test_every_row_of_the_table_has_all_columns_filled():
    rows = [line.strip("| ").split(" | ") for line in markdown().splitlines() if "`" in line]
    rows = [row for row in rows if not row[0].startswith("**")]
    assert len(rows) == len(DEFINITIONS)
    assert all(len(row) == 5 and all(row) for row in rows)
    assert {row[2] for row in rows} == {"higher", "lower", "neither"}


def test_a_group_names_its_metrics():
    assert {"judge_clip_s", "i2t_r5"} <= set(names(DEFINITIONS[0].group))
    assert names("none") == ()
