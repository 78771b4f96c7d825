"""How library code reports progress: one callback, passed in, never a global logger.

An orchestrator turns calls into tracked metrics and log lines; a script passes `print_log`; a test
passes `silent`. Library code never prints.
"""

import sys
from typing import Protocol


class Log(Protocol):
    """Receives one line of progress, with the step it belongs to and its metrics."""

    def __call__(self, message: str, step: int | None = None, **metrics: float) -> None:
        """Report `message`; `metrics` are named as the field names them (`loss`, `reward`)."""


def silent(message: str, step: int | None = None, **metrics: float) -> None:
    """Drop everything."""


def print_log(message: str, step: int | None = None, **metrics: float) -> None:
    """Write one line to stderr, so that a command's stdout stays its result."""
    numbers = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
    at = "" if step is None else f"step {step} "
    sys.stderr.write(f"{at}{message} {numbers}".rstrip() + "\n")
