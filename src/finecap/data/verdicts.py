"""Great Expectations' answer to a suite, as our own small `Verdict` for each check.

The only module that touches Great Expectations. Its context is ephemeral: no folder is made, no
network is asked, nothing is counted. What stays out: the checks (`suite`) and what follows from
them (`expectations`).
"""

import importlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from finecap.data.suite import Check

_EXAMPLES = 20


@dataclass(frozen=True)
class Verdict:
    """What became of one check."""

    name: str
    title: str
    success: bool
    evaluated: int  # rows
    unexpected: int
    examples: list[str]
    by_line: dict[int, str] = field(repr=False)  # the reason, by line of captions.jsonl
    is_warning: bool = False  # is said, and stops nothing


def run_suite(table: pd.DataFrame, suite: Sequence[Check]) -> list[Verdict]:
    """The verdict of each check on a table of `records_table`, in the suite's order.

    Raises:
        RuntimeError: an expectation could not be computed, which is no verdict on the data.
    """
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    batch = (
        context.data_sources.add_pandas("finecap")
        .add_dataframe_asset("records")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": table})
    )
    kinds = gx.expectations
    expectations = [
        getattr(kinds, check.kind)(**check.arguments, meta={"name": check.name}) for check in suite
    ]
    result = batch.validate(
        gx.ExpectationSuite("records", expectations=expectations),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["line"]},
    )
    seen = {one.expectation_config.meta["name"]: one for one in result.results}
    return [_verdict(check, seen[check.name], len(table)) for check in suite]


def great_expectations() -> Any:
    """The package, quiet. It ships no usable types, so this is where strictness ends."""
    with warnings.catch_warnings():
        # Version 1.24 imports `sre_constants`, deprecated since Python 3.11.
        warnings.simplefilter("ignore", DeprecationWarning)
        gx: Any = importlib.import_module("great_expectations")
        importlib.import_module("great_expectations.expectations")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gx


def _verdict(check: Check, result: Any, rows: int) -> Verdict:
    """Our row of one result of Great Expectations."""
    found: dict[str, Any] = result.result
    success = bool(result.success)
    if not found:
        raise RuntimeError(
            f"expectation {check.name} could not be computed: {result.exception_info}"
        )
    if check.reason is None:
        seen = {key: value for key, value in found.items() if value is not None}
        examples = [] if success else [str(seen)[:200]]
        return Verdict(
            check.name, check.title, success, rows, len(examples), examples, {}, check.is_warning
        )
    column = check.arguments["column"]
    failing: list[dict[Any, Any]] = found["unexpected_index_list"] or []
    by_line = {int(row["line"]): check.reason(row[column]) for row in failing}
    return Verdict(
        name=check.name,
        title=check.title,
        success=success,
        evaluated=int(found["element_count"]),
        unexpected=int(found["unexpected_count"]),
        examples=[f"line {line}: {reason}" for line, reason in list(by_line.items())[:_EXAMPLES]],
        by_line=by_line,
    )
