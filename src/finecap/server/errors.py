"""How a refusal looks: JSON below /api, a page elsewhere; the status is the same."""

import logging

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from finecap.search.query import MAX_CHARACTERS
from finecap.server.asked import Asked
from finecap.server.refusals import Refused, as_refused
from finecap.server.templates import render

_log = logging.getLogger("finecap.server")


def answer_refusal(request: Request, error: Exception) -> Response:
    """The answer to a request that could not be answered as asked."""
    if isinstance(error, RequestValidationError):
        refused = Refused(422, _first(error))
    else:
        refused = as_refused(error)
    if refused.status >= 500:  # noqa: PLR2004 - ours to mend
        _log.error("%s %s: %s", request.method, request.url.path, error)
    headers = {"Retry-After": str(refused.retry_after_s)} if refused.retry_after_s else {}
    if refused.status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(request, refused, headers)


def answer_failure(request: Request, error: Exception) -> Response:
    """The answer to a request that broke the server; the log has the trace."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    broken = Refused(500, "something broke on the server", "Its log says what")
    return _answer(request, broken, {})


def _answer(request: Request, refused: Refused, headers: dict[str, str]) -> Response:
    if request.url.path.startswith("/api"):
        content = {"error": str(refused)}
        return JSONResponse(content, refused.status, headers)
    asked_q = request.query_params.get("q", "")[:MAX_CHARACTERS]
    # Models that are missing leave the words to search by.
    words_only = Asked(q=asked_q, mode="words").address() if refused.words_still_work else ""
    page = render(
        "message.html",
        refused=refused,
        status=refused.status,
        asked_q=asked_q,
        words_only=words_only if asked_q else "",
    )
    return Response(page, refused.status, headers, "text/html; charset=utf-8")


def _first(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request's values."""
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"][1:]) or "the request"
    return f"{where}: {found['msg']}"
