"""Logs for machines: a JSON object a line, with the run and the asset, where `FINECAP_LOG=json`.

A handler that the instance's `dagster.yaml` names, so that every process of every run has it, be it
started by a terminal, the UI or the daemon. It shows what people see: starts, ends, checks, what
assets say, and errors; all events are in the UI.
"""

import json
import logging
import os
import sys
import warnings
from datetime import UTC, datetime
from typing import Any

# Dagster's word on handlers that `dagster.yaml` names, at every run of every user.
warnings.filterwarnings("ignore", message="Handling yaml-defined logging configuration")

VARIABLE, JSON = "FINECAP_LOG", "json"
_SHOWN = frozenset(
    {
        "RUN_START",
        "RUN_SUCCESS",
        "STEP_START",
        "STEP_SUCCESS",
        "STEP_UP_FOR_RETRY",
        "ASSET_MATERIALIZATION",
        "ASSET_CHECK_EVALUATION",
    }
)
"""Events of a lower level that are shown all the same."""


def is_json() -> bool:
    """Whether the environment asks for it; else lines are for people."""
    return os.environ.get(VARIABLE) == JSON


class JsonHandler(logging.StreamHandler[Any]):
    """Writes records of Dagster's loggers to stderr, where that is asked for."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, if it is worth one."""
        if is_json() and (said := content(record)) is not None:
            self.setStream(sys.stderr)
            self.stream.write(f"{json.dumps(said, ensure_ascii=False)}\n")
            self.flush()


def content(record: logging.LogRecord) -> dict[str, Any] | None:
    """What is said of a record; None where nobody wants to know it."""
    meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
    event = meta.get("dagster_event")
    kind = event.event_type_value if event is not None else "LOG"
    if record.levelno < logging.INFO and kind not in _SHOWN:
        return None
    said = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "run": meta.get("run_id"),
        "job": meta.get("job_name"),
        "asset": (meta.get("step_key") or "").replace("__", "/") or None,
        "event": kind,
        "message": str(meta.get("orig_message") or record.getMessage()),
    }
    error = event.step_failure_data.error if event is not None and event.is_step_failure else None
    if error is not None:
        said["error"] = error.to_string()
    return said
