"""What an evaluation's files may hold, and that a partial one is never taken for a whole one."""

import json
from pathlib import Path

import pandas as pd
import pytest

from finecap.evaluation.results import (
    Evaluation,
    EvaluationError,
    is_measured,
    is_undefined,
    not_computed,
    not_defined,
    read_evaluation,
    write_evaluation,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    metric = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
    splits = {s: {"cider": metric, "spice": not_computed("Java")} for s in ("val", "test")}
    rows = pd.DataFrame({"image": ["a"], "split": ["val"], "caption": ["a dog"]})
    per_image = pd.DataFrame({"image": ["a"], "split": ["val"], "cider": [0.5]})
    yardstick = {"val": "x", "test": "y"}
    write_evaluation(Evaluation(splits, rows, per_image, yardstick, True), tmp_path)
    return tmp_path


def test_plain_numbers_leave_absent_metrics_out(folder: Path):
    assert read_evaluation(folder).values("val") == {"cider": 0.5}


def test_absent_metric_says_whether_the_data_or_the_run_lacks_it():
    by_nature, by_fault = not_defined("photos"), not_computed("crash")
    assert not is_measured(by_nature)
    assert (is_undefined(by_nature), is_undefined(by_fault)) == (True, False)


def test_nothing_half_written_stays(folder: Path):
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize("key", ["val", "test", "facts", "yardstick"])
def test_file_without_a_part_is_a_partial_evaluation(folder: Path, key: str):
    path = folder / "evaluation.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=f"partial evaluation, lacks {key}"):
        read_evaluation(folder)


@pytest.mark.parametrize(
    ("text", "said"), [('{"val": ', "not JSON"), ("[]", "expected an object with val and test")]
)
def test_file_cut_short_or_foreign_is_refused(folder: Path, text: str, said: str):
    (folder / "evaluation.json").write_text(text)
    with pytest.raises(EvaluationError, match=said):
        read_evaluation(folder)
