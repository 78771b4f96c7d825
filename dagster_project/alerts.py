"""Telling people elsewhere that a run failed: which asset, why, and where to look.

Off twice over: the sensor is off until it is turned on in the UI, and nothing is sent before
`FINECAP_WEBHOOK_URL` names an address. That address is a secret: no message and no log shows it.
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import takewhile
from urllib.parse import urlsplit

import dagster as dg

from dagster_project.home import dagster_server

TIMEOUT_S = 10.0
WAITS_S = (1.0, 4.0, 16.0)
"""Before another try; a server that refuses the message itself is not asked again."""
MAX_ERROR = 1_500
"""Characters of an error; the whole of it is behind the link."""
_MODULE = re.compile(r"^(?:\w+\.)+(?:Failure: )?(?=\w)")
"""Before an error's class; of Dagster's `Failure`, which says nothing by itself, the class too."""
_CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 400, 429, 500


class AlertError(RuntimeError):
    """A message was not taken."""


class Webhook(dg.ConfigurableResource):
    """Where messages go: any address that takes JSON by POST, such as Slack's incoming webhooks."""

    variable: str = "FINECAP_WEBHOOK_URL"  # in the environment; the UI shows resources' settings

    @property
    def url(self) -> str:
        """The address, "" for nobody."""
        return os.environ.get(self.variable, "")

    def send(self, text: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Post `{"text": text}`, which is what Slack, Mattermost and Teams' workflows read.

        Args:
            text: of the message.
            sleep: between tries.

        Raises:
            AlertError: it was refused, or nobody answered.
        """
        body = json.dumps({"text": text}).encode()
        headers = {"Content-Type": "application/json"}
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise AlertError(f"{self.variable}: expected an address that begins with https://")
        last = "nothing"
        for wait in (0.0, *WAITS_S):
            sleep(wait)
            asked = urllib.request.Request(self.url, body, headers)  # noqa: S310  checked above
            try:
                with urllib.request.urlopen(asked, timeout=TIMEOUT_S):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                last = f"status {error.code}"
                if _CLIENT_ERROR <= error.code < _SERVER_ERROR and error.code != _TOO_MANY:
                    break
            except OSError as error:
                last = str(getattr(error, "reason", error))
        raise AlertError(f"the webhook of {self.variable} did not take the message: {last}")


def run_failed(profile: str) -> dg.SensorDefinition:
    """Tell the webhook of each failed run of a profile: one channel may hear of several."""

    @dg.run_failure_sensor(
        name="run_failed",
        description="Post each failed run to the webhook: asset, error and link.",
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def run_failed(context: dg.RunFailureSensorContext, webhook: Webhook) -> dg.SkipReason | None:
        """Post a failed run to the webhook."""
        if not webhook.url:
            return dg.SkipReason(f"{webhook.variable} is not set, so nobody is told")
        webhook.send(message(context, profile))
        return None

    return run_failed


def message(context: dg.RunFailureSensorContext, profile: str) -> str:
    """What people read: job, profile and run, each asset that failed with its error, the link."""
    run = context.dagster_run
    lines = [f"{run.job_name} of {profile} failed, run {run.run_id[:8]}"]
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:  # the library's own, not Dagster's
            error = error.cause
        asset = (event.step_key or "").replace("__", "/")
        said = _MODULE.sub("", error.message.strip()) if error else ""
        lines.append(f"{asset}: {said[:MAX_ERROR]}")
    if len(lines) == 1:
        lines += _from_outside(context)
    return "\n".join([*lines, f"{dagster_server()}/runs/{run.run_id}"])


def _from_outside(context: dg.RunFailureSensorContext) -> list[str]:
    """Why a run failed of which no step did, as one whose process was killed, and what was at work.

    Dagster's failure then says no more than that; what it saw of the process is its event before.
    """
    run_id, instance = context.dagster_run.run_id, context.instance
    kinds = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=kinds)]
    before = [*takewhile(lambda event: not event.is_failure, events)]
    said = [event.message or "" for event in (*before[-1:], context.failure_event)]
    steps = instance.get_run_step_stats(run_id)
    at_work = [step.step_key.replace("__", "/") for step in steps if step.end_time is None]
    return [*(f"{asset}: was at work" for asset in at_work), " ".join(said)[:MAX_ERROR]]
