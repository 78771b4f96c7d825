"""One home at a time, where several share an MLflow: a lock that the MLflow itself keeps.

A lock on a file ends at the home. What an MLflow grants to one of many who ask is the name of a
registered model, so the lock is one without versions, made to take it and deleted to give it back;
its description says who holds it.

A holder that was killed leaves it. Whoever waits, and has seen the same holder for `LEASE_S` of
answers, takes it out of the way by a new name that is made of the holder's: of several who do so at
once MLflow refuses all but one, so that nobody takes away the next holder's. That name stays, an
empty model for each holder that was killed. A holder that is slower than `SAFE_S` does nothing more
under the lock: MLflow would move an alias whoever asks.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster_project.history import me
from dagster_project.tracking_store import EXISTS, UNKNOWN

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOOK_S = 0.25
LEASE_S, SAFE_S = 60.0, 30.0
"""Of the same holder, seen by others; of work under the lock, by the holder's own clock."""


class LockLostError(RuntimeError):
    """The work under the lock took so long that others may hold it by now."""


class ServerLock:
    """The lock of a name.

    Args:
        client: of the MLflow that homes share.
        name: of the registered model that it is.
    """

    def __init__(self, client: "MlflowClient", name: str) -> None:
        self._client, self.name = client, name
        self._taken_at = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the block; whoever wants it waits."""
        self._take(f"{me()}, process {os.getpid()}, {uuid.uuid4().hex[:12]}")
        try:
            yield
        finally:
            if self._is_safe():  # else it may be another's
                self._client.delete_registered_model(self.name)

    def check(self) -> None:
        """Return if it is held for sure: to be asked before what cannot be undone.

        Raises:
            LockLostError: others may hold it by now.
        """
        if not self._is_safe():
            raise LockLostError(
                f"MLflow took more than {SAFE_S:.0f} s for what is done in a moment, and another "
                f"home may be at it by now ({self.name}): nothing was moved, run again"
            )

    def _is_safe(self) -> bool:
        return time.monotonic() - self._taken_at < SAFE_S

    def _take(self, holder: str) -> None:
        seen, looks = "", 0
        while not self._made(holder):
            before, seen = seen, self._holder()
            looks = looks + 1 if seen == before else 0
            if looks * LOOK_S >= LEASE_S:
                self._put_aside(seen)
            else:
                time.sleep(LOOK_S)

    def _made(self, holder: str) -> bool:
        """Whether it is the holder's now."""
        from mlflow import MlflowException

        self._taken_at = time.monotonic()  # before it is asked for: the answer may take its time
        try:
            self._client.create_registered_model(self.name, description=holder)
        except MlflowException as error:
            if error.error_code not in {EXISTS, UNKNOWN}:  # there, or just given back
                raise
            return self._holder() == holder  # made, but for the answer
        return True

    def _holder(self) -> str:
        """Who holds it; "" for nobody."""
        from mlflow import MlflowException

        try:
            return self._client.get_registered_model(self.name).description or ""
        except MlflowException as error:
            if error.error_code != UNKNOWN:
                raise
            return ""

    def _put_aside(self, holder: str) -> None:
        """Take a killed holder's lock out of the way, unless another has."""
        from mlflow import MlflowException

        try:
            self._client.rename_registered_model(self.name, f"{self.name}.{holder[-12:]}")
        except MlflowException:
            if self._holder() == holder:
                raise
