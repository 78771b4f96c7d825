"""What every request passes: whose name it was asked by, how often, and what its answer may do.

The innermost thing is the application; around it lie one limit, one clock and the headers that keep
a page from loading or running anything that is not ours.
"""

import time
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finecap.server.limits import Rate
from finecap.server.metrics import Metrics
from finecap.server.refusals import Refused

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines that watch; they get an answer even under load."""
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

Answering = Callable[[Request, Exception], Response]


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rate: Rate,
        metrics: Metrics,
        hosts: Sequence[str],
        answering: Answering,
    ) -> None:
        """`hosts`: names it may be asked by besides this machine's own; with `*` any."""
        self._app = app
        self._rate = rate
        self._metrics = metrics
        self._hosts = None if "*" in hosts else _OWN_NAMES | {host.lower() for host in hosts}
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except Refused as refused:
            await self._answering(Request(scope), refused)(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.observe(route, scope["method"], status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        """Refuse another machine's name (a page elsewhere that had its name point here), and haste.

        Raises:
            Refused: 421, 429.
        """
        host = Headers(scope=scope).get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts is not None and name not in self._hosts:
            raise Refused(
                421,
                "this server is not asked by that name",
                "Use localhost, or start it with --allow-host NAME",
            )
        if scope["path"] not in UNLIMITED:
            self._rate.take(scope["client"][0] if scope.get("client") else "")
