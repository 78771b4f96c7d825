"""What a person sees on the terminal while the pipeline runs: a line per start, end and log call.

A Dagster logger, so that it works from whichever process a step runs in. On a terminal `bars` draws
the same lines. Where time went is `overhead`'s; the full event log is in the UI.
"""

import logging
import sys
import time

import dagster as dg

from dagster_project.bars import ENDED, STARTED, append
from dagster_project.logs import is_json

_WIDTH = 36  # of the asset's column
_SKIPPED = "Dependencies for step"
"""How Dagster begins to say that a step waits in vain; the failure before it says why."""
_KINDS = {
    "STEP_START": STARTED,
    "ASSET_MATERIALIZATION": ENDED,
    "ASSET_CHECK_EVALUATION": ENDED,
    "STEP_FAILURE": ENDED,
}


class _Lines(logging.Formatter):
    """One line per record worth showing; an empty string for the rest."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        step, _, text = _said(record)
        return f"{time.strftime('%H:%M:%S')}  {step:<{_WIDTH}}  {text}" if text else ""


def _said(record: logging.LogRecord) -> tuple[str, str, str]:
    """Asset, kind and text of a record; no text where nobody wants to see it."""
    meta = getattr(record, "dagster_meta", {}) or {}
    event = meta.get("dagster_event")
    step = (meta.get("step_key") or "").replace("__", "/")
    text = _event_text(event) if event is not None else str(meta.get("orig_message") or record.msg)
    if not text or not step or text.startswith(_SKIPPED):
        return step, "", ""
    kind = _KINDS.get(event.event_type_value, "") if event is not None else ""
    return step, kind, text


class _Handler(logging.StreamHandler):
    """Writes what `_Lines` did not leave empty."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, if it has one; machines are told by `logs`."""
        if is_json():
            return
        line = self.format(record)
        if line and not append(*_said(record), line):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _logger(_: dg.InitLoggerContext) -> logging.Logger:
    """A logger that writes progress lines to stderr."""
    logger = logging.Logger("finecap.progress", logging.INFO)
    handler = _Handler()
    handler.setFormatter(_Lines())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return logger


progress_logger = dg.LoggerDefinition(
    _logger, description="One line per asset start, end and log call."
)


def _event_text(event: dg.DagsterEvent) -> str:
    """What a step's event means to a person; empty for the engine's own."""
    kind = event.event_type_value
    if kind == "STEP_START":
        return "started"
    if kind == "STEP_FAILURE":
        return "FAILED: " + _cause(event)
    if kind == "ASSET_MATERIALIZATION":
        shown = event.step_materialization_data.materialization.metadata
        status = shown["status"].value if "status" in shown else "done"
        return f"{status} ({float(shown['library_seconds'].value or 0):.1f} s in the library)"  # type: ignore[arg-type]
    if kind == "ASSET_CHECK_EVALUATION":
        check = event.asset_check_evaluation_data
        failed = "WARNS" if check.severity == dg.AssetCheckSeverity.WARN else "FAILED"
        return f"check {check.check_name}: {'passed' if check.passed else failed}"
    return ""


def _cause(event: dg.DagsterEvent) -> str:
    """The error that the asset raised, in its own words; Dagster's wrapper left off."""
    error = event.step_failure_data.error
    while (
        error is not None
        and error.cause is not None
        and (error.cls_name or "").startswith("Dagster")
    ):
        error = error.cause
    return error.message.strip() if error is not None else "unknown"
