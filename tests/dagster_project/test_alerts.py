"""A failed run is told to a webhook: asset, error, link; a real server takes the message."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from dagster_project.alerts import AlertError, Webhook, message, run_failed


class Board:
    """A server that keeps what it is sent, and answers with the statuses it was given."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.texts = list(statuses), list[str]()

    @contextmanager
    def open(self) -> Iterator[str]:
        board = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                board.texts.append(json.loads(body)["text"])
                self.send_response(board.statuses.pop(0) if board.statuses else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
                """Say nothing."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/services/secret"
            finally:
                server.shutdown()
                thread.join()


@dg.asset(key=["scst", "clip_s"])
def doomed() -> None:
    raise ValueError("loss is nan at step 7")


@pytest.fixture
def failure(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    """A run that failed, as the daemon hands it to the sensor."""
    job = dg.Definitions(
        [doomed], jobs=[dg.define_asset_job("retrain", selection=[doomed])]
    ).resolve_job_def("retrain")
    outcome = job.execute_in_process(instance=instance, raise_on_error=False)
    return dg.build_run_status_sensor_context(
        sensor_name="run_failed",
        dagster_instance=instance,
        dagster_run=outcome.dagster_run,
        dagster_event=outcome.get_run_failure_event(),
    ).for_run_failure()


def test_message_names_job_asset_error_and_link(failure: dg.RunFailureSensorContext):
    run = failure.dagster_run.run_id
    assert message(failure, "scenes").splitlines() == [
        f"retrain of scenes failed, run {run[:8]}",
        "scst/clip_s: ValueError: loss is nan at step 7",
        f"http://localhost:3000/runs/{run}",
    ]


def test_message_of_a_killed_run_says_what_ended_it(instance: dg.DagsterInstance):
    job = dg.Definitions([doomed], jobs=[dg.define_asset_job("retrain")]).resolve_job_def("retrain")
    run = instance.create_run_for_job(job)
    instance.report_engine_event("Started process for run (pid: 7).", run)
    instance.report_engine_event("Run execution process was terminated by signal 9", run)
    event = instance.report_run_failed(run)
    instance.report_engine_event("Sensor acted on the run", run)
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failed", dagster_instance=instance, dagster_run=run, dagster_event=event
    )
    first, why, link = message(context.for_run_failure(), "scenes").splitlines()
    assert first == f"retrain of scenes failed, run {run.run_id[:8]}"
    assert why.startswith("Run execution process was terminated by signal 9 This run has been")
    assert link.endswith(run.run_id)


def test_link_is_good_where_the_message_is_read(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FINECAP_DAGSTER_UI", "https://dagster.example/")
    link = message(failure, "scenes").splitlines()[-1]
    assert link == f"https://dagster.example/runs/{failure.dagster_run.run_id}"


def test_sensor_posts_the_message(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch
):
    board = Board()
    with board.open() as address:
        monkeypatch.setenv("FINECAP_WEBHOOK_URL", address)
        run_failed("scenes")(failure, webhook=Webhook())
    assert board.texts == [message(failure, "scenes")]


def test_without_an_address_nobody_is_told_and_the_sensor_says_so(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FINECAP_WEBHOOK_URL", raising=False)
    skipped = run_failed("scenes")(failure, webhook=Webhook())
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "FINECAP_WEBHOOK_URL is not set, so nobody is told"


def test_busy_server_is_asked_again_after_longer_and_longer_waits(monkeypatch: pytest.MonkeyPatch):
    board, waits = Board(503, 429), list[float]()
    with board.open() as address:
        monkeypatch.setenv("FINECAP_WEBHOOK_URL", address)
        Webhook().send("hello", sleep=waits.append)
    assert board.texts == ["hello"] * 3
    assert waits == [0.0, 1.0, 4.0]


@pytest.mark.parametrize(("statuses", "asked"), [((404,), 1), ((500,) * 4, 4)])
def test_refusal_is_an_error_that_does_not_show_the_address(
    statuses: tuple[int, ...], asked: int, monkeypatch: pytest.MonkeyPatch
):
    board = Board(*statuses)
    with board.open() as address:
        monkeypatch.setenv("FINECAP_WEBHOOK_URL", address)
        with pytest.raises(AlertError, match=f"status {statuses[-1]}") as refused:
            Webhook().send("hello", sleep=lambda _: None)
    assert len(board.texts) == asked
    assert "secret" not in str(refused.value)


def test_an_address_that_is_none_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINECAP_WEBHOOK_URL", "file:///secret")
    with pytest.raises(AlertError, match="expected an address that begins with https://") as bad:
        Webhook().send("hello")
    assert "secret" not in str(bad.value)
