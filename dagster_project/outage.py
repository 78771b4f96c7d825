"""What is done while MLflow does not answer: training goes on, or stops; what is finished waits.

`FINECAP_TRACKING_OUTAGE` says which, of a training that is under way. `buffer`, the default: it
goes on, its metrics wait, and are sent in order once somebody answers. They are on disk all the
while, in the history beside the checkpoints, from which a process that goes on after `kill -9`
sends what its run lacks. `stop`: the step ends, is saved, and the training with it, before hours
are spent that nobody sees.

Nothing arrives twice: a point sent again is the same to MLflow (metric, step, value, time), and a
process that goes on asks the run first what it has.

At the end a trained model waits for its registration as long as `WAITS_S` says. Then the asset
fails, and keeps what it made: another run registers that without training.
"""

import os
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from dagster_project.artifacts import is_no_space
from dagster_project.tracking_store import MlflowUnreachableError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)
"""Between tries, for five minutes in all."""
VARIABLE = "FINECAP_TRACKING_OUTAGE"
_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"  # error code of MLflow's, of a database it cannot reach
Result = TypeVar("Result")
Say = Callable[[str], None]


class GaveUpError(MlflowUnreachableError):
    """It was waited for, or is not to be: another try at once is of no use."""


class Rule(StrEnum):
    """What a training does."""

    BUFFER = "buffer"
    STOP = "stop"


def rule(environ: Mapping[str, str] = os.environ) -> Rule:
    """What the environment asks for.

    Raises:
        ValueError: for something else.
    """
    asked = environ.get(VARIABLE) or Rule.BUFFER
    if asked not in set(Rule):
        raise ValueError(f"{VARIABLE} is {asked!r}, expected one of: {', '.join(Rule)}")
    return Rule(asked)


def is_outage(error: BaseException | None) -> bool:
    """Whether an error of MLflow's client means that nobody answered; it wraps the first cause.

    A full disk is none, though its database says much the same then.
    """
    from requests import ConnectionError as NoConnectionError
    from requests import Timeout
    from requests.exceptions import ChunkedEncodingError, RetryError

    if is_no_space(error):
        return False
    silent = (MlflowUnreachableError, NoConnectionError, Timeout, RetryError, ChunkedEncodingError)
    while error is not None:
        if isinstance(error, silent) or getattr(error, "error_code", "") == _UNAVAILABLE:
            return True
        error = error.__cause__ or error.__context__
    return False


def patiently(do: Callable[[], Result], what: str, say: Say) -> Result:
    """The result of `do`, which is tried again while nobody answers, and only then.

    Args:
        do: may have been done already, but for the answer: so it looks first, or does no harm.
        what: it does, as the message begins.
        say: warns people that it waits.

    Raises:
        GaveUpError: nobody answered for as long as `WAITS_S`.
    """
    from mlflow import MlflowException

    for wait in (*WAITS_S, None):
        try:
            return do()
        except (MlflowException, MlflowUnreachableError, OSError) as error:
            if isinstance(error, GaveUpError) or not is_outage(error):
                raise
            if wait is None:
                raise GaveUpError(
                    f"{what}: MLflow did not answer for {sum(WAITS_S):.0f} s ({reason(error)}); "
                    "what was made is kept, and another run goes on from there"
                ) from error
            say(f"{what}: MLflow does not answer ({reason(error)}), again in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError  # the last try returns or raises


def reason(error: BaseException) -> str:
    """The first cause in its own words, without the addresses that may hold a password."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'no answer'}"


class Patience:
    """How a run under way bears an outage: when it tries again, and whether it may go on.

    Args:
        asked: what to do.
        say: warns people at the beginning, and tells them of the end.
        check: raises at once when nobody answers, where MLflow's client would take its time.
    """

    def __init__(self, asked: Rule, say: Say, check: Callable[[], None]) -> None:
        self.asked, self.check, self._say = asked, check, say
        self._failures, self._again_at, self._since = 0, 0.0, 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._again_at

    def bear(self, error: BaseException) -> None:
        """Take note that nobody answered; the next try is later than the last."""
        now = time.monotonic()
        if not self._failures:
            self._since = now
            goes_on = "metrics wait on disk" if self.asked is Rule.BUFFER else "training stops"
            self._say(f"MLflow does not answer ({reason(error)}): {goes_on}")
        self._again_at = now + WAITS_S[min(self._failures, len(WAITS_S) - 1)]
        self._failures += 1

    def relieve(self, count: int) -> None:
        """Take note that somebody answered.

        Args:
            count: of the metrics that waited.
        """
        if self._failures:
            seconds = time.monotonic() - self._since
            self._say(f"MLflow answers again after {seconds:.0f} s; {count} metrics were sent")
        self._failures, self._again_at = 0, 0.0
