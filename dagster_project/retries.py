"""Which failures of an asset are tried again: those of a network, with growing waits.

Whatever else fails, fails again: a loss that is no number, a full disk, a wrong file, too little
memory. So nothing has a retry policy, which would ask for the next try whatever the error.
"""

import socket
import urllib.error
from collections.abc import Callable
from functools import wraps
from typing import Any

import dagster as dg

from dagster_project.outage import GaveUpError, is_outage

MAX_RETRIES = 3
WAIT_S = 10.0
"""Before the first; twice as long before each that follows."""


def is_passing(error: BaseException) -> bool:
    """Whether an error may be gone by itself: nobody answered, or an answer was broken off."""
    if isinstance(error, GaveUpError):
        return False
    lost = (ConnectionError, TimeoutError, socket.gaierror)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, lost) or is_outage(error) or _is_lost_database(error)


def retrying(body: Callable[..., Any]) -> Callable[..., Any]:
    """An asset's body that is tried again after what passes."""

    @wraps(body)
    def tried(context: dg.AssetExecutionContext, *args: Any, **inputs: Any) -> Any:
        try:
            return body(context, *args, **inputs)
        except Exception as error:
            if not is_passing(error):
                raise
            wait = WAIT_S * 2**context.retry_number
            raise dg.RetryRequested(MAX_RETRIES, seconds_to_wait=wait) from error

    return tried


def _is_lost_database(error: BaseException) -> bool:
    """Whether PostgreSQL is away; its driver need not be installed."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return "psycopg.OperationalError" in kinds and getattr(error, "sqlstate", None) is None
