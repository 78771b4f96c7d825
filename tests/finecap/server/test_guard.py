"""Every request passes the same guard, whatever is behind it."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from finecap.server.guard import POLICY, Guard
from finecap.server.limits import Rate
from finecap.server.metrics import Metrics


def answered(
    guard: Guard, path: str = "/", host: str = "localhost:8000"
) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to one request."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "client": ("c", 1),
        "headers": [(b"host", host.encode())],
    }  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers


def guard(
    hosts: tuple[str, ...] = (), per_minute: int = 0, metrics: Metrics | None = None
) -> Guard:
    def refuse(_: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), error.status)  # pyright: ignore[reportAttributeAccessIssue]

    return Guard(
        PlainTextResponse("fine"), rate=Rate(per_minute), metrics=metrics or Metrics(), hosts=hosts,
        answering=refuse,
    )  # fmt: skip


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:80", "[::1]"]
)
def test_this_machines_own_names_are_known(host: str):
    assert answered(guard(), host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil:80", ""]
)
def test_other_names_are_refused_unless_they_were_allowed(host: str):
    assert answered(guard(), host=host)[0] == 421
    assert answered(guard(("*",)), host=host)[0] == 200
    assert answered(guard(("evil.example",)), host="Evil.example:1")[0] == 200


def test_answers_and_refusals_carry_the_policy():
    for host in ("localhost", "evil.example"):
        _, headers = answered(guard(), host=host)
        assert headers["content-security-policy"] == POLICY


def test_haste_is_refused_but_for_those_who_watch():
    hasty, metrics = guard(per_minute=1), Metrics()
    assert [answered(hasty)[0] for _ in range(2)] == [200, 429]
    assert answered(hasty, "/healthz")[0] == 200
    counted = guard(per_minute=1, metrics=metrics)
    answered(counted)
    assert 'status="200"' in metrics.text().decode()
