"""Great Expectations' answers arrive as ours: by check, by line, with reasons, without noise."""

import socket
from unittest.mock import Mock

import pandas as pd
import pytest

from finecap.data.suite import Check
from finecap.data.verdicts import run_suite

TABLE = pd.DataFrame({"line": [1, 2, 5], "side": [40.0, 20.0, None], "image": ["a", "b", "b"]})
SIDE = Check(
    "side",
    "Side 32 or more",
    "ExpectColumnValuesToBeBetween",
    lambda side: f"{side:g} px",
    {"column": "side", "min_value": 32},
)
COLUMNS = Check(
    "columns", "Columns", "ExpectTableColumnsToMatchOrderedList", None, {"column_list": ["line"]}
)


def test_a_failing_value_is_blamed_on_its_line_and_null_passes():
    [verdict] = run_suite(TABLE, [SIDE])
    assert not verdict.success
    assert verdict.by_line == {2: "20 px"}
    assert (verdict.evaluated, verdict.unexpected) == (3, 1)
    assert verdict.examples == ["line 2: 20 px"]


def test_verdicts_come_in_the_suites_order():
    unique = Check("unique", "Unique", "ExpectColumnValuesToBeUnique", str, {"column": "image"})
    verdicts = run_suite(TABLE, [COLUMNS, unique, SIDE])
    assert [verdict.name for verdict in verdicts] == ["columns", "unique", "side"]
    assert list(verdicts[1].by_line) == [2, 5]


def test_a_failing_table_blames_no_line():
    [verdict] = run_suite(TABLE, [COLUMNS])
    assert (verdict.success, verdict.by_line, verdict.unexpected) == (False, {}, 1)
    assert "side" in verdict.examples[0]


def test_an_expectation_that_cannot_be_computed_is_an_error():
    lost = Check("lost", "Lost", "ExpectColumnValuesToBeNull", str, {"column": "no_such"})
    with pytest.raises(RuntimeError, match="expectation lost could not be computed"):
        run_suite(TABLE, [lost])


def test_nothing_is_printed_and_no_network_is_asked(monkeypatch, capfd):
    connect = Mock(side_effect=AssertionError("a connection was tried"))
    monkeypatch.setattr(socket.socket, "connect", connect)
    run_suite(TABLE, [SIDE])
    connect.assert_not_called()
    assert capfd.readouterr() == ("", "")
